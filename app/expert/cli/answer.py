"""From the options of `expert ask` to a written answer."""

import argparse
from contextlib import closing

from expert.assistant import Assistant
from expert.cli import messages, options
from expert.cli.interrupts import ending
from expert.cli.output import Form, OutputOptions, plan_lines, plan_record, show, write
from expert.cli.question import Question, read_question
from expert.collecting import Deadline
from expert.config import Config
from expert.loading import Loading
from expert.types import Message, Request


def answer(args: argparse.Namespace, config: Config, loading: Loading) -> int:
    """Answer one question and return the exit code; the model loads while the input is read.

    Raises:
        ExpertError: whatever kept the answer from coming.
    """
    deadline = Deadline(args.timeout)
    with Assistant(loading, config) as assistant:
        if _has_form(args):
            assistant.resident.prepare_table()
        request = _request(args, read_question(args, deadline), deadline)
        if args.dry_run:
            return _preview(assistant, request, args)
        with closing(assistant.ask(request)) as asked, ending(asked):
            return show(asked, _output(args))


def _output(args: argparse.Namespace) -> OutputOptions:
    form: Form = "text"
    if args.json:
        form = "json"
    elif args.stream_json:
        form = "stream"
    elif args.extract:
        form = "code"
    return OutputOptions(form, args.quiet, args.why, args.usage, whole=_has_form(args))


def _has_form(args: argparse.Namespace) -> bool:
    """Tell whether this command line says what the answer must look like."""
    return any(asked is not None for asked in (args.grammar, args.schema, args.sql_schema))


def _request(args: argparse.Namespace, question: Question, deadline: Deadline) -> Request:
    return Request(
        messages=[*question.before, Message("user", question.text)],
        experts=options.answering_experts(args),
        attachments=question.attachments,
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        min_p=args.min_p,
        repeat_penalty=args.repeat_penalty,
        seed=args.seed,
        stop=tuple(args.stop),
        grammar=args.grammar,
        schema=args.schema,
        sql_schema=args.sql_schema,
        beams=args.beams,
        think=args.think,
        logprobs=args.logprobs,
        truncate=args.truncate,
        timeout=deadline.left,
        conversation=question.conversation,
        previous=question.previous,
        record=not args.no_log,
        origin="ask",
    )


def _preview(assistant: Assistant, request: Request, args: argparse.Namespace) -> int:
    """Print the prompt and the plan, and answer nothing."""
    plan, rendered = assistant.preview(request)
    if args.json or args.stream_json:
        import json

        record = {"prompt": rendered.text, "tokens": len(rendered.prompt), **plan_record(plan)}
        write(json.dumps(record, ensure_ascii=False) + "\n")
        return 0
    write(rendered.text if rendered.text.endswith("\n") else f"{rendered.text}\n")
    for line in [*plan_lines(plan), f"{len(rendered.prompt)} tokens; seed {plan.sampling.seed}"]:
        messages.tell(line)
    return 0
