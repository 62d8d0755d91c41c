"""What of Kibana the command shows: the pack."""

from dashcam.cli import OK, main
from dashcam.destinations.elasticsearch.saved_objects import kibana_pack


def test_the_pack_is_printed(capsysbinary):
    """Byte for byte, to be imported by hand."""
    assert main(["setup", "kibana-pack"]) == OK

    assert capsysbinary.readouterr().out == kibana_pack()
