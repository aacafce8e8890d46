"""The wheel carries the course's data inside the library that reads them; in a clone they stay in `data`."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithData(build_py):
    """Copies what the library needs of `data` to where `rag_lib.files` looks first."""

    def run(self) -> None:
        """Builds."""
        super().run()
        if not self.editable_mode:
            self.copy_tree("data", str(Path(self.build_lib) / "rag_lib" / "data"))


setup(cmdclass={"build_py": WithData})
