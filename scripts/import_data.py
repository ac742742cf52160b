"""Turn a collection of another tool into a sample sheet and the keys of a config; divide one in two."""

import argparse
import sys

from stratagem.core.errors import StratagemError
from stratagem.data.importers.formats import FORMATS

parser = argparse.ArgumentParser(description=__doc__)
formats = parser.add_subparsers(required=True, metavar="FORMAT")
for name, (importer, help_text, places) in FORMATS.items():
    command = formats.add_parser(name, help=help_text, description=importer.__doc__.splitlines()[0])
    for place, meaning in places.items():
        command.add_argument(place, help=meaning)
    command.add_argument("--out", required=True, help="folder to make")
    command.set_defaults(importer=importer)
options = vars(parser.parse_args())
try:
    print(*options.pop("importer")(**options), sep="\n")
except (StratagemError, OSError) as error:
    sys.exit(str(error))
