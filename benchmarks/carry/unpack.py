"""Puts what pack.sh packed together: ``python unpack.py .trt SITE``, then ``PYTHONPATH=SITE``."""

import lzma
import shutil
import sys
import zipfile
from pathlib import Path

packed, site = Path(sys.argv[1]), Path(sys.argv[2])
libraries = site / "tensorrt_rtx_libs"
libraries.mkdir(parents=True, exist_ok=True)
for file in packed.glob("*.xz"):
    with lzma.open(file) as source, open(libraries / file.stem, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
shutil.copy(packed / "libs_init.py", libraries / "__init__.py")
for wheel in packed.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
(site / "tensorrt_rtx.py").write_text(
    "from tensorrt_rtx_bindings import *\nfrom tensorrt_rtx_bindings import __version__\n",
    encoding="utf-8",
)
