"""The published pcx 0.6.3 with its inference steps in its `pxf.scan`, which compiles sooner."""

from _published import Published
from _worker import main
from classic import scanned


class Scanned(Published):
    inference = staticmethod(scanned)


if __name__ == "__main__":
    main(Scanned)
