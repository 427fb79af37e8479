"""The published pcx 0.6.3 with its inference steps in its `pxf.scan`, which compiles sooner."""

from _published import Published
from _worker import main
from classic import scanned


class Scanned(Published):
    inference = staticmethod(scanned)

    def __init__(self, work, *start):
        if work.widths is None:
            raise NotImplementedError("convolutions in a scan are far slower on a CPU than written out")
        super().__init__(work, *start)


if __name__ == "__main__":
    main(Scanned)
