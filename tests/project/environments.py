"""Fresh environments for distributions that are installed into them, and commands run there."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path


def fresh_environment(folder: Path) -> Path:
    """The interpreter of a fresh environment in ``folder`` that has pip, and sees this one's packages besides its own."""
    venv.create(folder, with_pip=True)
    fresh = folder / "bin" / "python"
    purelib = run([str(fresh), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip()
    # addsitedir and not a plain line, because an editable install of evoweights is itself a .pth file.
    (Path(purelib) / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return fresh


def install(python: Path, distribution: Path, *, editable: bool = False) -> None:
    """Install a wheel or a distribution's folder, without network."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    place = ["--editable", str(distribution)] if editable else [str(distribution)]
    run([str(python), "-m", "pip", "install", *options, *place])


def run(command: list[str], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that has to end well."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done


def evoweights(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``evoweights`` in that environment, however it ends."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [str(python), "-m", "evoweights", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def build_wheel(distribution: Path, folder: Path) -> Path:
    """The wheel of a distribution, made in ``folder`` by this environment's build backend."""
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(distribution)])
    (wheel,) = folder.glob("*.whl")
    return wheel
