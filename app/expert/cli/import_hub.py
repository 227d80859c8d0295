"""`expert import`: an expert of an adapter on the Hugging Face Hub."""

from expert.cli import marketplace, options


def run(arguments: list[str]) -> int:
    """Fetch, convert and install an adapter, after showing where it comes from."""
    parser = options.parser("import", "Make an expert of a PEFT adapter on the Hugging Face Hub.")
    parser.add_argument("reference", metavar="hf:ORG/REPO@COMMIT")
    parser.add_argument("--name", help="what to call it; default: as the repository")
    parser.add_argument("--rank", type=options.positive, help="approximate DoRA and IA3 by a LoRA")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    options.add_model(parser)
    options.add_json(parser)
    args = parser.parse_args(arguments)
    args.trust = []
    from expert.market.importing import ImportJob, import_adapter
    from expert.market.market import user_market
    from expert.models import find_model

    base = find_model(options.config(args).model).path
    job = ImportJob(args.reference, base, args.name, args.rank)
    confirm = marketplace.confirmation(args)
    done = import_adapter(user_market(), job, confirm, marketplace.progress("fetching"))
    return marketplace.report(args, done)
