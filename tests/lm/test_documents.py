import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.errors import DataError
from evoweights_lm.documents import find_files, refuse_overlap, split_tail, text_source

documents = st.lists(st.text(st.sampled_from("ab \n"), max_size=40), min_size=1, max_size=6).filter(
    lambda each: sum(map(len, each)) >= 2
)


@given(documents, st.floats(0.0001, 0.9))
def test_a_split_loses_and_repeats_nothing_and_leaves_no_side_empty(texts, share):
    split = split_tail(texts, share)
    assert "".join(split.train) + "".join(split.validation) == "".join(texts)
    assert all(split.train) and all(split.validation)
    assert split.train and split.validation


@given(st.lists(st.text("ab", min_size=1, max_size=9), min_size=40, max_size=60), st.floats(0.1, 0.5))
def test_a_split_is_at_a_line_near_the_share(lines, share):
    text = "".join(line + "\n" for line in lines)
    split = split_tail([text], share)
    assert split.train[0].endswith("\n")
    assert abs(len(split.validation[0]) - share * len(text)) <= 11


def test_documents_are_cut_only_where_the_share_falls():
    split = split_tail(["one\n", "two\n", "three\nfour\n", "five\n"], 0.4)
    assert split.train == ["one\n", "two\n", "three\n"]
    assert split.validation == ["four\n", "five\n"]


def test_validation_files_are_used_whole(tmp_path):
    (tmp_path / "train.txt").write_text("learn\nthis\n")
    (tmp_path / "held.txt").write_text("score\nthis\n")
    split = text_source([str(tmp_path / "train.txt")], [str(tmp_path / "held.txt")], 0.5).read()
    assert (split.train, split.validation) == (["learn\nthis\n"], ["score\nthis\n"])


def test_files_keep_the_order_given_and_globs_are_sorted(tmp_path):
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text("x")
    found = find_files([str(tmp_path / "c.md"), str(tmp_path / "*.txt"), str(tmp_path / "c.md")], where="task.files")
    assert [path.name for path in found] == ["c.md", "a.txt", "b.txt"]


def test_line_endings_and_marks_are_kept_as_they_are(tmp_path):
    content = "\ufeffone\r\ntwo\rthree\n"
    (tmp_path / "a.txt").write_bytes(content.encode())
    split = text_source([str(tmp_path / "a.txt")], [], 0.3).read()
    assert "".join(split.train + split.validation) == content


def test_a_pattern_that_matches_nothing_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"task\.files: '.*/\*\.txt' matches no file \(looked in .*\)\. Correct the path"
    ):
        find_files([str(tmp_path / "*.txt")], where="task.files")


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9 au lait")
    with pytest.raises(DataError, match=r"latin\.txt: not UTF-8 at byte 3 \(found 0xe9\)\. Convert it"):
        text_source([str(path)], [], 0.1)


@pytest.mark.parametrize("content", [b"", b" \n\t\n"])
def test_a_file_without_text_is_named(tmp_path, content):
    path = tmp_path / "empty.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"empty\.txt: holds no text \({len(content)} bytes\)\. Remove it"):
        text_source([str(path)], [], 0.1)


def test_a_file_in_both_lists_is_refused_under_any_name(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    (tmp_path / "alias.txt").symlink_to(path)
    with pytest.raises(DataError, match=r"alias\.txt is also in task\.files, so validation would see training text"):
        refuse_overlap([path], [tmp_path / "alias.txt"])


def test_the_fingerprint_follows_content_and_where_files_end(tmp_path):
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"

    def fingerprint(first, second):
        a.write_text(first)
        b.write_text(second)
        return text_source([str(a), str(b)], [], 0.1).fingerprint

    assert fingerprint("one", "two") == fingerprint("one", "two")
    assert len({fingerprint("one", "two"), fingerprint("onet", "wo"), fingerprint("one", "tow")}) == 3


def test_a_file_that_may_not_be_read_is_named(text_file, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(text_file), "read_bytes", refuse)
    with pytest.raises(
        DataError, match=r"corpus\.txt: cannot be read \(Permission denied\)\. Check its permissions, or"
    ):
        text_source([str(text_file)], [], 0.1)
