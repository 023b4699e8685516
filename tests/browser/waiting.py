import time


def wait(page, expression, seconds=60):
    """Until the expression is true; Playwright's own way needs `eval`, which the pages' policies forbid."""
    until = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < until, f"never came true: {expression}"
        page.wait_for_timeout(20)
