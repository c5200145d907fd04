"""The ports of a local stack."""

import socket

import pytest

from contracts.errors import PlatformError
from local.ports import OFFSET_VARIABLE, Ports, check_free


def test_the_offset_shifts_every_port_and_a_variable_sets_one() -> None:
    shifted = Ports.from_environment({OFFSET_VARIABLE: "1000", "ECOMMERCE_PORT_SQL": "21000"}).as_dict()
    assert {name: shifted[name] - port for name, port in Ports().as_dict().items() if name != "sql"} == dict.fromkeys(
        (name for name in shifted if name != "sql"), 1000
    )
    assert shifted["sql"] == 21000


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({OFFSET_VARIABLE: "many"}, OFFSET_VARIABLE),
        ({OFFSET_VARIABLE: "60000"}, OFFSET_VARIABLE),
        ({"ECOMMERCE_PORT_KAFKA": "9093"}, "same port"),
    ],
)
def test_impossible_ports_are_one_sentence(variables: dict[str, str], names: str) -> None:
    with pytest.raises(PlatformError, match=names):
        Ports.from_environment(variables)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_port_in_use_is_named_with_its_server_and_its_variable(address: str) -> None:
    with socket.socket() as holder:
        holder.bind((address, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PlatformError) as error:
            check_free("kafka", ("kafka",), Ports(kafka=port))
    assert str(port) in str(error.value)
    assert "kafka" in str(error.value)
    assert "ECOMMERCE_PORT_KAFKA" in str(error.value)
