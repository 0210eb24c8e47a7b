"""A checkout that installs in seconds: the true Makefile and installer, tiny packages as wheels."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("Makefile", "pm_utils/builder/install.py")
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "pm-utils"
version = "0.1.0"
"""
# The whole of a build backend for `pip install -e .`, so that no real one is needed.
BACKEND = """import zipfile
from pathlib import Path

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "pm_utils-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr("pm_utils.pth", str(Path.cwd()))
        for file, text in {files}.items():
            wheel.writestr("pm_utils-0.1.0.dist-info/" + file, text)
    return name
"""
PACKAGES = ("one", "Two.two", "three")


def dist_info(name: str, version: str) -> dict[str, str]:
    """The files that make a wheel of an archive."""
    return {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }


class FakeCheckout:
    """A checkout whose lock pins tiny packages, and a folder with their wheels."""

    def __init__(self, root: Path, packages: tuple[str, ...] = PACKAGES, files: int = 1):
        self.root, self.wheels = root, root / "wheels"
        self.wheels.mkdir(parents=True)
        (root / "pm_utils" / "builder").mkdir(parents=True)
        for name in COPIED:
            shutil.copy(ROOT / name, root / name)
        (root / "pyproject.toml").write_text(PYPROJECT)
        backend = BACKEND.replace("{files}", repr(dist_info("pm-utils", "0.1.0")))
        (root / "backend.py").write_text(backend)
        self.lock(dict.fromkeys(packages, "1.0"), files=files)

    def lock(self, pins: dict[str, str], *, files: int = 1) -> None:
        """Pin packages, and make their wheels."""
        lines = [f"{name}=={version}" for name, version in pins.items()]
        (self.root / "requirements.lock").write_text("# pins\n" + "\n".join(lines) + "\n")
        for name, version in pins.items():
            self.wheel(name, version, files)

    def wheel(self, name: str, version: str, files: int) -> None:
        """Make one wheel."""
        stem = f"{name.replace('.', '_').lower()}-{version}"
        with zipfile.ZipFile(self.wheels / f"{stem}-py3-none-any.whl", "w") as wheel:
            for number in range(files):
                wheel.writestr(f"{name.replace('.', '_')}_{number}.py", "VALUE = 1\n")
            for file, text in dist_info(name, version).items():
                wheel.writestr(f"{stem}.dist-info/{file}", text)

    @property
    def environment(self) -> Path:
        """Where the environment is made."""
        return self.root / ".venv"

    def settings(self, **more: str) -> dict[str, str]:
        """The variables of a call: pip sees the wheels of this checkout, and nothing else."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.root),
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            **more,
        }

    def call(self, *words: str, **more: str) -> subprocess.CompletedProcess:
        """Run the installer with this Python."""
        call = [sys.executable, "-I", "pm_utils/builder/install.py", *words]
        return self.run(call, **more)

    def make(self, *words: str, **more: str) -> subprocess.CompletedProcess:
        """Run make."""
        return self.run(["make", "-s", *words], **more)

    def run(self, call: list[str], **more: str) -> subprocess.CompletedProcess:
        """Run a command here."""
        return subprocess.run(
            call,
            cwd=self.root,
            env=self.settings(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )
