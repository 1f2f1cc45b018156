from rwkv_core.switches import SWITCHES, explain_switches


def test_nothing_is_said_of_what_is_not_set() -> None:
    assert explain_switches({"PATH": "/bin", "RWKV": "1"}) == []


def test_every_switch_that_is_set_gets_one_sentence() -> None:
    said = explain_switches(dict.fromkeys(SWITCHES, "999"))
    assert [line.split("=")[0] for line in said] == list(SWITCHES)
    assert all("=999 is not read; " in line and "\n" not in line for line in said)
