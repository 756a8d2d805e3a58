"""Hold room, charge it, see a denial, repeat safely: with the Python client (`pip install ./clients/python`)."""

import os
import uuid

from tollgate import Action, Amounts, Check, Client, Settings, TollgateError


def main() -> int:
    endpoint = os.environ.get("TOLLGATE_ENDPOINT", "127.0.0.1:50051")
    token = os.environ.get("TOLLGATE_TOKEN")
    with Client(endpoint, token=token, settings=Settings(timeout_seconds=5)) as tollgate:
        # One key for each message: the same request under it is decided once, however often it is sent.
        message = Check(
            "globex", Action.SEND_MESSAGE, Amounts(spend="0.004"), messaging_profile_id="globex-bulk",
            idempotency_key=str(uuid.uuid4()),
        )
        answer = tollgate.check(message)
        if not answer.allowed:
            print("denied:", answer.errors[0].code, answer.errors[0].title)
            return 3
        print("held: 0.004 USD")
        again = tollgate.check(message)
        print("repeated:", "the same hold" if again.reservation_id == answer.reservation_id else "another hold")

        tollgate.commit(answer.reservation_id)
        print("committed")

        for reason in tollgate.check(
            Check("initech", Action.PROVISION_EXTENSION, Amounts(extensions=10_000))
        ).errors:
            print("denied:", reason.code, reason.title)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except TollgateError as error:
        # No answer: the message is not sent. docs/clients/failure.md has the other choice.
        raise SystemExit(f"no answer: {error}")
