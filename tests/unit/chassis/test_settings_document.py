from services.chassis.settings_document import (
    DEFAULT,
    Branch,
    Fault,
    Items,
    Leaf,
    Place,
    drop,
    find,
    lay,
    read_document,
)


def at(line: int) -> Place:
    return Place(kind="file", name="c.yaml", line=line)


def faults_of(text: str) -> list[str]:
    return [str(fault) for fault in read_document(text, "c.yaml")[1]]


def test_every_entry_knows_its_line() -> None:
    root, faults = read_document("server:\n  port: 80\n  hosts: [a,\n    b]\n", "c.yaml")

    assert faults == []
    assert root.place == at(1)
    assert find(root, "server.port") == Leaf(text="80", place=at(2))
    assert find(root, "server.hosts") == Items(
        entries=(Leaf(text="a", place=at(3)), Leaf(text="b", place=at(4))), place=at(3)
    )


def test_text_stays_as_it_was_typed() -> None:
    root, _ = read_document("a: 3.10\nb: 007\nc: yes\nd: '12'\n", "c.yaml")

    assert [find(root, key) for key in "abcd"] == [
        Leaf(text=text, place=at(line)) for line, text in enumerate(("3.10", "007", "yes", "12"), 1)
    ]


def test_nothing_after_a_colon_is_null_on_the_line_of_its_key() -> None:
    root, _ = read_document("a:\nb: ~\n", "c.yaml")

    assert find(root, "a") == Leaf(text=None, place=at(1))
    assert find(root, "b") == Leaf(text=None, place=at(2))


def test_no_text_and_empty_text_are_an_empty_mapping() -> None:
    for text in (None, "", "# nothing\n"):
        root, faults = read_document(text, "c.yaml")

        assert (root.entries, faults) == ({}, [])


def test_json_is_read_as_well() -> None:
    root, faults = read_document('{"server": {"port": 80}}', "c.json")

    assert faults == []
    assert isinstance(find(root, "server.port"), Leaf)


def test_a_key_given_twice_is_a_fault_that_names_both_lines() -> None:
    root, faults = read_document("a: 1\nb: 2\na: 3\n", "c.yaml")

    assert faults == [Fault(place=at(3), path="a", message="is given twice; the first is on line 1")]
    assert find(root, "a") == Leaf(text="1", place=at(1))


def test_what_is_not_yaml_names_the_line() -> None:
    (fault,) = faults_of("a: 1\nb: [1,\nc: 2\n")

    assert fault.startswith("c.yaml:4: not valid YAML: while parsing a flow sequence that began on line 2, expected")


def test_a_forbidden_character_is_a_fault_without_a_line() -> None:
    (fault,) = faults_of("a: \x00secret\n")

    assert fault.startswith("c.yaml: not valid YAML: unacceptable character")
    assert "secret" not in fault


def test_a_second_document_is_a_fault() -> None:
    (fault,) = faults_of("a: 1\n---\nb: 2\n")

    assert fault.startswith("c.yaml:2: not valid YAML")


def test_the_root_must_be_a_mapping() -> None:
    (fault,) = faults_of("- a\n")

    assert fault.startswith("c.yaml:1: the file must hold a mapping")


def test_merge_keys_odd_keys_and_odd_tags_are_faults_beside_each_other() -> None:
    assert faults_of("a: &x {b: 1}\nc:\n  <<: *x\n? [1]\n: 2\nd: !!python/name:os.system ''\n") == [
        "c.yaml:3: c: merge keys (`<<`) are not supported; write the settings out",
        "c.yaml:4: a key must be a plain word",
        "c.yaml:6: d: the tag tag:yaml.org,2002:python/name:os.system is not supported",
    ]


def test_aliases_are_followed_and_a_loop_of_them_is_cut() -> None:
    root, faults = read_document("a: &x {b: 1}\nc: *x\nd: &y [*y]\n", "c.yaml")

    assert find(root, "c.b") == Leaf(text="1", place=at(1))
    assert [str(fault) for fault in faults] == ["c.yaml:3: d[0]: an alias refers to what it is part of"]


def test_a_value_from_outside_takes_the_place_of_the_files() -> None:
    root, _ = read_document("server:\n  port: 80\nauth:\n", "c.yaml")
    outside = Leaf(text="81", place=Place(kind="environment", name="PORT"))
    for path in ("server.port", "auth.key", "new.one", "top"):
        lay(root, path, outside)

        assert find(root, path) == outside


def test_a_value_from_outside_never_hides_that_the_file_has_something_else_on_the_way() -> None:
    root, _ = read_document("server: 80\nlist: [1]\n", "c.yaml")
    outside = Leaf(text="81", place=DEFAULT)
    lay(root, "server.port", outside)
    lay(root, "list.deep.port", outside)

    assert find(root, "server") == Leaf(text="80", place=at(1))
    assert find(root, "server.port") is None


def test_dropping_forgets_an_entry_and_tolerates_its_absence() -> None:
    root, _ = read_document("a: {b: 1}\nc: 1\n", "c.yaml")
    for path in ("a.b", "c", "x.y", "c.d"):
        drop(root, path)

    assert find(root, "a") == Branch(entries={}, place=at(1))
    assert find(root, "c") is None


def test_places_read_like_an_editor_writes_them() -> None:
    assert str(Place(kind="file", name="c.yaml", line=3)) == "c.yaml:3"
    assert str(Place(kind="file", name="c.yaml")) == "c.yaml"
    assert str(Place(kind="environment", name="PORT")) == "env PORT"
    assert str(Place(kind="option", name="--port")) == "option --port"
    assert str(DEFAULT) == "default"
    assert str(Place(kind="environment", name="KEY_FILE", via="/run/key")) == "env KEY_FILE (from /run/key)"
