from pvnas_bench.system.text import either


def test_choices_in_a_sentence() -> None:
    assert [either(list(choices)) for choices in ("", "a", "ab", "abc", "abcd")] == [
        "",
        "a",
        "a or b",
        "a, b or c",
        "a, b, c or d",
    ]
