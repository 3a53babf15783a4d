//! Payments: what came in, what of it paid what, and what went back.

mod model;
mod repository;
mod sqlite;

pub use model::{Allocation, Method, NewPayment, Payment, PaymentId, Refund, RefundId};
pub(super) use repository::PaymentRepository;

use super::invoices::{Invoice, InvoiceId, InvoiceRepository, State};
use super::ledger::{Account, Cause, Posting};
use super::{Billing, Owner, record_about};
use crate::platform::db::{Snapshot, UnitOfWork};
use crate::platform::error::{Error, Result};
use crate::platform::ids::UserId;
use crate::platform::money::{MAX_MINOR, Money};

impl Billing {
    pub fn payment(&self, snapshot: &Snapshot<'_>, id: PaymentId) -> Result<Payment> {
        snapshot.tables(Owner(())).find_payment(id)?.ok_or(Error::NotFound("payment"))
    }

    /// Before `before`, newest first; of one person where they are named.
    pub fn payments(
        &self,
        snapshot: &Snapshot<'_>,
        user: Option<UserId>,
        before: Option<PaymentId>,
        limit: u32,
    ) -> Result<Vec<Payment>> {
        snapshot.tables(Owner(())).list_payments(user, before, limit)
    }

    /// What of a payment paid what.
    pub fn allocations(&self, snapshot: &Snapshot<'_>, payment: PaymentId) -> Result<Vec<Allocation>> {
        snapshot.tables(Owner(())).list_allocations(payment)
    }

    /// What paid an invoice.
    pub fn allocations_to(&self, snapshot: &Snapshot<'_>, invoice: InvoiceId) -> Result<Vec<Allocation>> {
        snapshot.tables(Owner(())).list_allocations_to(invoice)
    }

    pub fn refunds(&self, snapshot: &Snapshot<'_>, payment: PaymentId) -> Result<Vec<Refund>> {
        snapshot.tables(Owner(())).list_refunds(payment)
    }

    /// Records a payment. It pays the invoice that it names, or else those that have been open for longest; what is left is
    /// the account's credit, which the next invoice takes. A payment of a gateway that is known already changes nothing.
    ///
    /// # Errors
    /// If the amount is not positive, or in another currency than the account.
    pub fn record_payment(&self, work: &UnitOfWork<'_>, new: NewPayment) -> Result<Payment> {
        let tables = work.tables(Owner(()));
        if let Some(name) = &new.gateway_ref
            && let Some(known) = tables.find_by_gateway(new.method, name)?
        {
            return Ok(known);
        }
        let mut details = self.details(work, new.user_id)?;
        if !(1..=MAX_MINOR).contains(&new.amount_minor) {
            return Err(Error::invalid("amount.amount_minor", format!("from 1 to {MAX_MINOR}")));
        }
        if !(0..=new.amount_minor).contains(&new.fee_minor) {
            return Err(Error::invalid("fee_minor", "from 0 to the amount"));
        }
        if new.currency != details.account.currency {
            let currency = details.account.currency;
            return Err(Error::invalid("amount.currency", format!("this account is billed in {currency}")));
        }
        let today = details.today(work.now());
        let received_on = new.received_on.unwrap_or(today);
        if received_on > today {
            return Err(Error::invalid("received_on", format!("not after today, {today}")));
        }
        let payment = Payment {
            id: work.new_id(),
            user_id: new.user_id,
            currency: new.currency,
            amount_minor: new.amount_minor,
            fee_minor: new.fee_minor,
            refunded_minor: 0,
            method: new.method,
            reference: new.reference,
            gateway_ref: new.gateway_ref,
            received_on,
            created_at: work.now(),
        };
        tables.insert_payment(&payment)?;

        let (mut left, mut to_open, mut to_written_off) = (payment.amount_minor, 0, 0);
        for mut invoice in self.payable(work, payment.user_id, new.invoice)? {
            let amount_minor = left.min(invoice.due_minor);
            if amount_minor == 0 {
                continue;
            }
            left -= amount_minor;
            match invoice.state {
                State::Uncollectible => to_written_off += amount_minor,
                _ => to_open += amount_minor,
            }
            invoice.due_minor -= amount_minor;
            let is_paid = self.settle_if_paid(work, &mut invoice);
            tables.put_allocation(&Allocation { payment: payment.id, invoice: invoice.id, amount_minor })?;
            let invoice = self.put_invoice(work, invoice)?;
            if is_paid {
                self.was_paid(work, &invoice)?;
            }
        }
        let memo = format!("payment of {}", Money::new(payment.amount_minor, payment.currency));
        let posting = Posting::new(payment.currency, received_on, Cause::Payment, memo)
            .about(payment.id.uuid(), payment.user_id)
            .debit(Account::Cash, payment.amount_minor - payment.fee_minor)
            .debit(Account::Fees, payment.fee_minor)
            .credit(Account::Receivable, to_open)
            .credit(Account::WriteOff, to_written_off)
            .credit(Account::Credit, left);
        self.post(work, &posting)?;
        self.move_credit(work, &mut details, left)?;
        let said = Money::new(payment.amount_minor, payment.currency);
        record_about(work, "billing.payment_recorded", payment.id, payment.user_id, None::<&()>, Some(&said))?;
        self.tell_payment(work, &payment, new.invoice.map(|id| id.uuid()))?;
        Ok(payment)
    }

    /// What a payment pays, in order.
    fn payable(&self, snapshot: &Snapshot<'_>, user: UserId, named: Option<InvoiceId>) -> Result<Vec<Invoice>> {
        let Some(id) = named else { return snapshot.tables(Owner(())).list_open(user) };
        let invoice = self.invoice(snapshot, id)?;
        if invoice.user_id != user {
            return Err(Error::NotFound("invoice"));
        }
        match invoice.state {
            State::Draft => Err(super::invoices::not_now("a draft can't be paid: finalise it first")),
            State::Open | State::Uncollectible => Ok(vec![invoice]),
            // What comes in for it all the same is the account's credit.
            State::Paid | State::Void => Ok(Vec::new()),
        }
    }

    /// Gives a payment back, or a part of it: first what the account holds as credit, then what paid invoices, the latest
    /// first, which are open again by that much. Who wants a refund without a debt makes a credit note before.
    ///
    /// # Errors
    /// [`Error::Conflict`] if that much of it is not there any more.
    pub fn refund(
        &self,
        work: &UnitOfWork<'_>,
        id: PaymentId,
        amount_minor: i64,
        reason: Option<String>,
        gateway_ref: Option<String>,
    ) -> Result<Refund> {
        let tables = work.tables(Owner(()));
        let payment = self.payment(work, id)?;
        if let Some(name) = &gateway_ref
            && let Some(known) = tables.find_refund_by_gateway(name)?
        {
            return Ok(known);
        }
        let most = payment.amount_minor - payment.refunded_minor;
        if !(1..=most.max(1)).contains(&amount_minor) {
            return Err(Error::invalid(
                "amount.amount_minor",
                format!("from 1 to {most}, which is what is left of this payment"),
            ));
        }
        if most == 0 {
            return Err(Error::conflict("state", "all of this payment has been given back"));
        }
        let mut details = self.details(work, payment.user_id)?;
        let from_credit = details.credit_minor.min(amount_minor);
        let mut left = amount_minor - from_credit;
        let (mut from_paid, mut from_written_off) = (0, 0);
        for mut allocation in tables.list_allocations(id)? {
            let part = left.min(allocation.amount_minor);
            if part == 0 {
                continue;
            }
            let mut invoice = self.invoice(work, allocation.invoice)?;
            left -= part;
            allocation.amount_minor -= part;
            tables.put_allocation(&allocation)?;
            invoice.due_minor += part;
            let was_paid = invoice.state == State::Paid;
            if invoice.state == State::Uncollectible {
                from_written_off += part;
            } else {
                from_paid += part;
                (invoice.state, invoice.settled_at) = (State::Open, None);
            }
            let invoice = self.put_invoice(work, invoice)?;
            if was_paid {
                self.collect_again(work, &details, &invoice)?;
            }
        }
        if left > 0 {
            let can = amount_minor - left;
            return Err(Error::conflict(
                "amount",
                format!("only {can} minor units can be given back: the rest was credit, and has paid later invoices"),
            ));
        }
        let refund =
            Refund { id: work.new_id(), payment_id: id, amount_minor, reason, gateway_ref, created_at: work.now() };
        tables.insert_refund(&refund)?;
        tables.set_refunded(id, payment.refunded_minor + amount_minor)?;
        let said = Money::new(amount_minor, payment.currency);
        let day = details.today(work.now());
        let posting = Posting::new(payment.currency, day, Cause::Refund, format!("refund of {said}"))
            .about(refund.id.uuid(), payment.user_id)
            .debit(Account::Credit, from_credit)
            .debit(Account::Receivable, from_paid)
            .debit(Account::WriteOff, from_written_off)
            .credit(Account::Cash, amount_minor);
        self.post(work, &posting)?;
        self.move_credit(work, &mut details, -from_credit)?;
        record_about(work, "billing.payment_refunded", id, payment.user_id, None::<&()>, Some(&said))?;
        self.tell_refund(work, &payment, &refund)?;
        self.send_back(work, &payment, &refund)?;
        Ok(refund)
    }
}
