"""Names of a network's categories, by their number or as asked for."""

import pytest

from rotoscope.errors import OptionError
from rotoscope.inference.loading import on_meta
from rotoscope.models.propose_reduce.categories import names_of
from rotoscope.models.propose_reduce.options import WholeVideoOptions
from rotoscope.models.propose_reduce.system import SYSTEM


def test_by_their_number():
    assert names_of("auto", 1) == (None,)
    assert names_of("auto", 4) == ("person", "vehicle", "animal", "thing")
    assert names_of("auto", 3) == ("1", "2", "3")
    assert names_of("auto", 40)[0] == "person"


def test_as_asked_for():
    assert names_of("ytvis2021", 40) != names_of("ytvis2019", 40)
    with pytest.raises(OptionError, match="kinds has 4 categories, the network has 40"):
        names_of("kinds", 40)


def test_what_the_system_says():
    assert SYSTEM.categories is not None
    options = WholeVideoOptions()
    assert SYSTEM.categories(on_meta("propose-reduce", "mobile_kinds"), options)[2:] == ("animal", "thing")
    assert len(SYSTEM.categories(on_meta("propose-reduce", "mobile"), options)) == 40
