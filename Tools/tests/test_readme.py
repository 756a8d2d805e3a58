"""What the README shows works as it stands there."""

import re

from conftest import ROOT, usage


def test_python_example(contract, stub, server):
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "127.0.0.1:50051" in example
    exec(compile(example.replace("127.0.0.1:50051", server.endpoint), "README.md", "exec"), {})
    counted = usage(contract, stub, "globex", "globex-bulk")
    assert counted[contract.LIMIT_KIND_PROFILE_DAILY_SPEND] == (4_000_000, 0)
