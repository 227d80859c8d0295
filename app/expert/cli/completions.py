"""`expert completions`: what makes the Tab key complete commands, options, names and files.

The scripts are complete in themselves: pressing Tab starts no Python. The shell reads the names of
models from their folder, and those of installed experts from the market's note, `experts.json`,
whose last list they are (`expert.market.recovery`).
"""

from collections.abc import Callable, Iterator

from expert.cli import options
from expert.cli.commands import Command, Option, commands, is_file

_MODEL_FLAGS = {"-m", "--model"}
_EXPERT_FLAGS = {"-e", "--expert"}
_ABOUT_EXPERTS = {
    ("show",), ("uninstall",), ("update",), ("pin",), ("verify",), ("bundle", "create"),
}  # fmt: skip
"""Commands that are told the names of installed experts."""


def run(arguments: list[str]) -> int:
    """Print the completion script of a shell."""
    parser = options.parser("completions", "Print the completions of a shell; --help says where.")
    parser.formatter_class = options.Paragraphs
    parser.epilog = (
        "bash:  expert completions bash > ~/.local/share/bash-completion/completions/expert\n"
        "zsh:   expert completions zsh > DIR/_expert        (DIR: a folder of $fpath)\n"
        "fish:  expert completions fish > ~/.config/fish/completions/expert.fish"
    )
    parser.add_argument("shell", choices=tuple(SHELLS))
    args = parser.parse_args(arguments)
    print(SHELLS[args.shell](commands()), end="")
    return 0


def _all(found: list[Command]) -> Iterator[Command]:
    for command in found:
        yield command
        yield from command.actions


def _flags(command: Command) -> str:
    return " ".join(flag for option in command.options for flag in option.flags)


# Bash ---------------------------------------------------------------------------------------------

_BASH_HEAD = """\
# Completion of expert for bash; written by `expert completions bash`.

_expert_names() {
    local folder=${EXPERT_HOME:+$EXPERT_HOME/data} text= part parts
    folder=${folder:-${XDG_DATA_HOME:-$HOME/.local/share}/expert}
    [[ -r $folder/experts.json ]] && IFS= read -r -d '' text <"$folder/experts.json"
    [[ $text == *'"experts":'* ]] || return
    IFS='"' read -r -d '' -a parts <<<"${text##*'"experts":'}"
    for part in "${parts[@]}"; do
        [[ $part == */* && $part != *[!a-z0-9/-]* ]] || continue
        [[ $word == */* ]] && printf '%s\\n' "$part" || printf '%s\\n' "${part#*/}"
    done
}

_expert_models() {
    local folder=${EXPERT_HOME:+$EXPERT_HOME/data} file
    folder=${folder:-${XDG_DATA_HOME:-$HOME/.local/share}/expert}
    printf 'pocket\\n'
    for file in "$folder"/models/*.gguf; do
        [[ -e $file ]] && file=${file##*/} && printf '%s\\n' "${file%.gguf}"
    done
}

_expert() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} action=${COMP_WORDS[2]} words= files= names= values=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W '%VERBS%' -- "$word"))
        return
    fi
    ((COMP_CWORD > 2)) || action=
    case "$command $action" in
"""
_BASH_TAIL = """\
    esac
    values=" $values "
    case $values in
        *" $before="*) values=${values##*" $before="}; words=${values%% *}; words=${words//,/ }
            [[ $words == @models ]] && words=$(_expert_models)
            [[ $words == @experts ]] && { compopt -o default 2>/dev/null
                words="auto none $(_expert_names)"; }
            [[ $words == @files ]] && { compopt -o default 2>/dev/null; return; }
            [[ $words == @any ]] && return ;;
        *) [[ -n $names && $word != -* ]] && words="$words $(_expert_names)" ;;
    esac
    [[ $word == -* || -z $files ]] || compopt -o default 2>/dev/null
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _expert expert
"""


def _bash(found: list[Command]) -> str:
    verbs = " ".join(command.name for command in found)
    lines = [_BASH_HEAD.replace("%VERBS%", verbs).rstrip("\n")]
    for command in found:
        for action in command.actions:
            lines += _bash_case(f"'{' '.join(action.words)}'", action)
        lines += _bash_case(f"'{command.name} '*", command)
    return "\n".join(lines) + "\n" + _BASH_TAIL


def _bash_case(pattern: str, command: Command) -> Iterator[str]:
    words = " ".join([*(action.name for action in command.actions), _flags(command)])
    values = " ".join(
        f"{flag}={_bash_values(option)}"
        for option in command.options
        if option.metavar
        for flag in option.flags
    )
    yield f"        {pattern})"
    named = "1" if command.words in _ABOUT_EXPERTS else ""
    yield f"            words='{words}' files={'1' if command.takes_files else ''} names={named}"
    yield f"            values='{values}' ;;"


def _bash_values(option: Option) -> str:
    if option.choices:
        return ",".join(option.choices)
    if _MODEL_FLAGS & set(option.flags):
        return "@models"
    if _EXPERT_FLAGS & set(option.flags):
        return "@experts"
    return "@files" if is_file(option.metavar) else "@any"


# Zsh ----------------------------------------------------------------------------------------------

_ZSH_HEAD = """\
#compdef expert
# Completion of expert for zsh; written by `expert completions zsh`.

_expert_models() {
    local folder=${EXPERT_HOME:+$EXPERT_HOME/data}
    folder=${folder:-${XDG_DATA_HOME:-$HOME/.local/share}/expert}
    local -a names=(pocket $folder/models/*.gguf(N:t:r))
    compadd -a names
}

_expert_names() {
    setopt localoptions extendedglob
    local folder=${EXPERT_HOME:+$EXPERT_HOME/data} text=
    folder=${folder:-${XDG_DATA_HOME:-$HOME/.local/share}/expert}
    [[ -r $folder/experts.json ]] && text=$(<$folder/experts.json)
    text=${text##*\\"experts\\":}
    local -a names=(${(M)${=text//\\"/ }:#[a-z0-9-]##/[a-z0-9-]##})
    [[ $PREFIX == */* ]] || names=(${names#*/})
    compadd -a names
}

_expert_experts() {
    local -a others=(auto none)
    compadd -a others
    _expert_names
    _files
}
"""


def _zsh(found: list[Command]) -> str:
    lines = [_ZSH_HEAD]
    for command in found:
        lines += _zsh_function(command)
    verbs = [f"        {_zsh_pair(command)}" for command in found]
    lines += [
        "_expert() {",
        "    local -a verbs=(",
        *verbs,
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command verbs",
        "        return",
        "    fi",
        "    local name=${words[2]}",
        "    shift words",
        "    (( CURRENT-- ))",
        "    (( $+functions[_expert_$name] )) && _expert_$name",
        "}",
        '_expert "$@"',
    ]
    return "\n".join(lines) + "\n"


def _zsh_function(command: Command) -> Iterator[str]:
    yield f"_expert_{'_'.join(command.words)}() {{"
    if command.actions:
        yield "    local -a actions=("
        yield from (f"        {_zsh_pair(action)}" for action in command.actions)
        yield "    )"
        yield "    if (( CURRENT == 2 )); then"
        yield "        _describe action actions"
        yield f"    elif (( $+functions[_expert_{command.name}_${{words[2]}}] )); then"
        yield f"        local name=_expert_{command.name}_${{words[2]}}"
        yield "        shift words"
        yield "        (( CURRENT-- ))"
        yield "        $name"
        yield "        return"
        yield "    fi"
    if command.arguments or not command.actions:
        specs = [spec for option in command.options for spec in _zsh_option(option)]
        specs.append(f"'*:{_zsh_argument(command)}'")
        yield "    _arguments -s \\"
        yield " \\\n".join(f"        {spec}" for spec in specs)
    yield "}"
    yield ""
    for action in command.actions:
        yield from _zsh_function(action)


def _zsh_argument(command: Command) -> str:
    if command.words in _ABOUT_EXPERTS:
        return "expert:_expert_names"
    return "file:_files" if command.takes_files else " :"


def _zsh_pair(command: Command) -> str:
    return _quoted(f"{command.name}:{_plain(command.about)}")


def _zsh_option(option: Option) -> Iterator[str]:
    value = ""
    if option.choices:
        value = f":value:({' '.join(option.choices)})"
    elif _MODEL_FLAGS & set(option.flags):
        value = ":model:_expert_models"
    elif _EXPERT_FLAGS & set(option.flags):
        value = ":expert:_expert_experts"
    elif option.metavar:
        value = ":file:_files" if is_file(option.metavar) else ":value: "
    for flag in option.flags:
        yield _quoted(f"*{flag}[{_plain(option.about)}]{value}")


def _plain(text: str) -> str:
    """Return text without what zsh's specifications use themselves."""
    return text.replace("[", "(").replace("]", ")").replace(":", ",")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# Fish ---------------------------------------------------------------------------------------------

_FISH_HEAD = """\
# Completion of expert for fish; written by `expert completions fish`.

function __expert_models
    set -l folder ~/.local/share/expert
    set -q XDG_DATA_HOME; and set folder $XDG_DATA_HOME/expert
    set -q EXPERT_HOME; and set folder $EXPERT_HOME/data
    echo pocket
    for file in $folder/models/*.gguf
        string replace -r '.*/(.*)\\.gguf$' '$1' -- $file
    end
end

function __expert_names
    set -l folder ~/.local/share/expert
    set -q XDG_DATA_HOME; and set folder $XDG_DATA_HOME/expert
    set -q EXPERT_HOME; and set folder $EXPERT_HOME/data
    test -r $folder/experts.json; or return
    read -lz text <$folder/experts.json
    set -l names (string replace -r '(?s).*"experts":' '' -- $text | string split '"' | \
        string match -r '^[a-z0-9-]+/[a-z0-9-]+$')
    string match -q '*/*' -- (commandline -ct); and string join \\n $names
    or string replace -r '.*/' '' -- $names
end

function __expert_at
    set -l words (commandline -opc)
    test (count $words) -gt (count $argv); or return 1
    set -l last (math (count $argv) + 1)
    test "$words[2..$last]" = "$argv"
end

complete -c expert -f
"""


def _fish(found: list[Command]) -> str:
    lines = [_FISH_HEAD.rstrip("\n")]
    for command in found:
        about = _fish_quoted(command.about)
        lines.append(f"complete -c expert -n __fish_use_subcommand -a {command.name} -d {about}")
    for command in _all(found):
        place = f"'__expert_at {' '.join(command.words)}'"
        if command.takes_files:
            lines.append(f"complete -c expert -n {place} -F")
        if command.words in _ABOUT_EXPERTS:
            lines.append(f"complete -c expert -n {place} -a '(__expert_names)'")
        for action in command.actions:
            about = _fish_quoted(action.about)
            lines.append(f"complete -c expert -n {place} -a {action.name} -d {about}")
        lines += [f"complete -c expert -n {place} {_fish_option(one)}" for one in command.options]
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    parts = [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    ]
    if option.choices:
        parts.append(f"-x -a '{' '.join(option.choices)}'")
    elif _MODEL_FLAGS & set(option.flags):
        parts.append("-r -F -a '(__expert_models)'")
    elif _EXPERT_FLAGS & set(option.flags):
        parts.append("-r -F -a 'auto none (__expert_names)'")
    elif option.metavar:
        parts.append("-r -F" if is_file(option.metavar) else "-x")
    return " ".join([*parts, f"-d {_fish_quoted(option.about)}"])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[list[Command]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
