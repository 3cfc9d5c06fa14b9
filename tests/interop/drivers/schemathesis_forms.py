"""A hook of schemathesis: into the forms that it makes up go the words that open an operation, some of the time. What it makes up
for one parameter by itself is never right for all of a form. They come in JOBPASS_FORMS, by method and path."""

import json
import os

import schemathesis
from hypothesis import strategies

FORMS = json.loads(os.environ["JOBPASS_FORMS"])


@schemathesis.hook
def flatmap_body(context, body):
    forms = FORMS.get(context.operation.label)
    if forms is None or not isinstance(body, dict):
        return strategies.just(body)
    # A form has no null; it would be sent as that word.
    made_up = {name: value for name, value in body.items() if value is not None}
    return strategies.sampled_from([{}, *forms]).map(lambda form: {**made_up, **form})
