"""Hash of a plug-in's source: changes that affect it and changes that do not."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvnas_bench.system import sources


@pytest.mark.parametrize(
    "text",
    [
        "import helper",
        "import helper as h, os",
        "from helper import x",
        "from . import helper",
        "from .helper import x",
        "def late():\n    import helper",
        "import between",
    ],
)
def test_modules_imported_from_the_same_folder_belong_to_the_source(tmp_path: Path, text: str) -> None:
    main, helper = tmp_path / "mine.py", tmp_path / "helper.py"
    main.write_text(text)
    helper.write_text("x = 1")
    (tmp_path / "between.py").write_text("import helper\nimport mine")
    (tmp_path / "other.py").write_text("y = 1")
    before = sources.digest(main)
    (tmp_path / "other.py").write_text("y = 2")
    assert sources.digest(main) == before
    helper.write_text("x = 2")
    assert sources.digest(main) != before


def test_an_imported_package_of_the_same_folder_belongs_to_the_source(tmp_path: Path) -> None:
    main, deep = tmp_path / "mine.py", tmp_path / "parts" / "deep.py"
    deep.parent.mkdir()
    main.write_text("from parts import deep")
    deep.write_text("x = 1")
    (tmp_path / "parts" / "__init__.py").write_text("")
    before = sources.digest(main)
    assert [path.name for path in sources.files(main)] == ["mine.py", "__init__.py", "deep.py"]
    deep.write_text("x = 2")
    assert sources.digest(main) != before


def test_name_folder_and_line_ends_do_not_change_the_hash(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.py").write_bytes(b"x = 1\ny = 2\n")
    (tmp_path / "b" / "c.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    assert sources.digest(tmp_path / "a.py") == sources.digest(tmp_path / "b" / "c.py")


def test_a_file_of_a_package_names_its_neighbours_in_full(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from some.where._b import x")
    (tmp_path / "_b.py").write_text("x = 1")
    assert sources.files(tmp_path / "a.py", "some.where") == [tmp_path / "a.py", tmp_path / "_b.py"]
    assert sources.files(tmp_path / "a.py") == [tmp_path / "a.py"]


@settings(suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_have_a_hash(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.py").write_bytes(content)
    assert len(sources.digest(tmp_path / "mine.py")) == 64
