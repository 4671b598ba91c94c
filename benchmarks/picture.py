"""The README's picture: the figure of `rdjax audit` on the emoji corpus, with few colors, as benchmarks/audit.png.

python benchmarks/picture.py [REPORT]          REPORT: a folder that `rdjax audit --out` wrote; else it audits (minutes)
"""

import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

TARGET = pathlib.Path(__file__).resolve().parent / "audit.png"
WIDTH, COLORS = 760, 48


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else folder)
        if len(sys.argv) == 1:
            subprocess.run([sys.executable, "-m", "rdjax", "audit", "--out", folder], check=True)
        image = Image.open(report / "frontier.png").convert("RGB")
        small = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
        small.quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(TARGET, optimize=True)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
