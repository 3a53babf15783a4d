//! Invoices and credit notes: what is owed and why.

#![allow(dead_code, reason = "read by the PDF and the XML, which come next")]

pub mod document;
