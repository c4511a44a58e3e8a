import pytest

from tests.launch.played import Stage


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)
