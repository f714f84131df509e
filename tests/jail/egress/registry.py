"""Puts a package named `thing` into FOLDER/www/registry, for npm, pip and cargo alike, as served by https://a.test/registry.

usage: python3 registry.py FOLDER
"""

import base64
import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile

ROOT = os.path.join(sys.argv[1], "www", "registry")
HERE = "https://a.test/registry"


def put(name, content):
    file = os.path.join(ROOT, name)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    with open(file, "wb") as opened:
        opened.write(content)


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def npm():
    about = {"name": "thing", "version": "1.0.0"}
    packed = archive({"package/package.json": json.dumps(about), "package/index.js": "module.exports = 'by npm'\n"})
    put("npm/-/thing-1.0.0.tgz", packed)
    sum_of = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
    dist = {"tarball": f"{HERE}/npm/-/thing-1.0.0.tgz", "integrity": sum_of}
    put("npm/thing", json.dumps({"name": "thing", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {**about, "dist": dist}}}).encode())


def pip():
    out, name = io.BytesIO(), "thing-1.0.0-py3-none-any.whl"
    info = {
        "METADATA": "Metadata-Version: 2.1\nName: thing\nVersion: 1.0.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(out, "w") as wheel:
        wheel.writestr("thing.py", "print('by pip')\n")
        for file, text in info.items():
            wheel.writestr(f"thing-1.0.0.dist-info/{file}", text)
    put(f"pip/files/{name}", out.getvalue())
    link = f"{HERE}/pip/files/{name}#sha256={hashlib.sha256(out.getvalue()).hexdigest()}"
    put("pip/thing/index", f'<!DOCTYPE html><html><body><a href="{link}">{name}</a></body></html>'.encode())


def cargo():
    manifest = '[package]\nname = "thing"\nversion = "1.0.0"\nedition = "2021"\n'
    packed = archive({"thing-1.0.0/Cargo.toml": manifest, "thing-1.0.0/src/lib.rs": "//! By cargo.\n"})
    put("cargo/crates/thing/1.0.0/download", packed)
    put("cargo/index/config.json", json.dumps({"dl": f"{HERE}/cargo/crates"}).encode())
    entry = {"name": "thing", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False, "cksum": hashlib.sha256(packed).hexdigest()}
    put("cargo/index/th/in/thing", json.dumps(entry).encode())


npm()
pip()
cargo()
