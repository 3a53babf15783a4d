"""Holds each XML file of a folder against CEN's rules; prints its name and the ids of the rules that it breaks."""

import pathlib
import sys
import xml.etree.ElementTree as tree

from saxonche import PySaxonProcessor

rules, folder = sys.argv[1:]
SVRL = "{http://purl.oclc.org/dsdl/svrl}failed-assert"

with PySaxonProcessor(license=False) as saxon:
    sheet = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=rules)
    for file in sorted(pathlib.Path(folder).glob("*.xml")):
        report = tree.fromstring(sheet.transform_to_string(source_file=str(file)).encode())
        broken = {failed.get("id") for failed in report.iter(SVRL) if failed.get("flag", "fatal") == "fatal"}
        print(file.stem, *sorted(broken))
