# Completion of expert for bash; written by `expert completions bash`.

_expert_names() {
    local folder=${EXPERT_HOME:+$EXPERT_HOME/data} text= part parts
    folder=${folder:-${XDG_DATA_HOME:-$HOME/.local/share}/expert}
    [[ -r $folder/experts.json ]] && IFS= read -r -d '' text <"$folder/experts.json"
    [[ $text == *'"experts":'* ]] || return
    IFS='"' read -r -d '' -a parts <<<"${text##*'"experts":'}"
    for part in "${parts[@]}"; do
        [[ $part == */* && $part != *[!a-z0-9/-]* ]] || continue
        [[ $word == */* ]] && printf '%s\n' "$part" || printf '%s\n' "${part#*/}"
    done
}

_expert_models() {
    local folder=${EXPERT_HOME:+$EXPERT_HOME/data} file
    folder=${folder:-${XDG_DATA_HOME:-$HOME/.local/share}/expert}
    printf 'pocket\n'
    for file in "$folder"/models/*.gguf; do
        [[ -e $file ]] && file=${file##*/} && printf '%s\n' "${file%.gguf}"
    done
}

_expert() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} action=${COMP_WORDS[2]} words= files= names= values=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W 'ask chat sh log route router grammar search show install uninstall list update rollback pin verify gc source trust bundle model convert fuse compress conflicts new pack keygen sign inspect validate diff extract import migrate publish train dataset eval bench config completions man doctor paths version' -- "$word"))
        return
    fi
    ((COMP_CWORD > 2)) || action=
    case "$command $action" in
        'ask '*)
            words='-h --help --debug -m --model -e --expert -q --quiet -s --system -f --file -t --template -p --param --no-stdin --truncate --json --stream-json -x --extract -u --usage --why --dry-run -c --continue --cid -n --no-log --grammar --schema --sql-schema --max-tokens --temperature --top-k --top-p --min-p --repeat-penalty --beam --seed --stop --logprobs --timeout --think --no-think --context --threads --gpu-layers --kv-type' files= names=
            values='-m=@models --model=@models -e=@experts --expert=@experts -s=@any --system=@any -f=@files --file=@files -t=@any --template=@any -p=@any --param=@any --cid=@any --grammar=@files --schema=@files --sql-schema=@files --max-tokens=@any --temperature=@any --top-k=@any --top-p=@any --min-p=@any --repeat-penalty=@any --beam=@any --seed=@any --stop=@any --logprobs=@any --timeout=@any --context=@any --threads=@any --gpu-layers=@any --kv-type=f32,f16,q8_0,q4_0' ;;
        'chat '*)
            words='-h --help --debug -m --model -e --expert -s --system --max-tokens --plain --context --threads --gpu-layers --kv-type' files= names=
            values='-m=@models --model=@models -e=@experts --expert=@experts -s=@any --system=@any --max-tokens=@any --context=@any --threads=@any --gpu-layers=@any --kv-type=f32,f16,q8_0,q4_0' ;;
        'sh '*)
            words='-h --help --debug --print -m --model -e --expert -n --no-log --seed --timeout --no-stdin --context --threads --gpu-layers --kv-type' files= names=
            values='-m=@models --model=@models -e=@experts --expert=@experts --seed=@any --timeout=@any --context=@any --threads=@any --gpu-layers=@any --kv-type=f32,f16,q8_0,q4_0' ;;
        'log list')
            words='-h --help --bin -n --limit --all --json' files= names=
            values='-n=@any --limit=@any' ;;
        'log show')
            words='-h --help --json' files= names=
            values='' ;;
        'log search')
            words='-h --help --expert -n --limit --json' files= names=
            values='--expert=@experts -n=@any --limit=@any' ;;
        'log rm')
            words='-h --help --forever -y --yes --json' files= names=
            values='' ;;
        'log restore')
            words='-h --help --json' files= names=
            values='' ;;
        'log rename')
            words='-h --help --json' files= names=
            values='' ;;
        'log export')
            words='-h --help --format -o --output --json' files= names=
            values='--format=markdown,json -o=@files --output=@files' ;;
        'log '*)
            words='list show search rm restore rename export -h --help --debug' files= names=
            values='' ;;
        'route '*)
            words='-h --help --debug -f --file --previous --no-stdin --experts --embedding --json' files= names=
            values='-f=@files --file=@files --previous=@any --experts=@files --embedding=@files' ;;
        'router eval')
            words='-h --help --half --ablation --experts --embedding --json' files=1 names=
            values='--half=development,heldout,all --experts=@files --embedding=@files' ;;
        'router fit')
            words='-h --help -o --output --experts --embedding --json' files=1 names=
            values='-o=@files --output=@files --experts=@files --embedding=@files' ;;
        'router '*)
            words='eval fit -h --help --debug' files= names=
            values='' ;;
        'grammar list')
            words='-h --help --json' files= names=
            values='' ;;
        'grammar show')
            words='-h --help --json' files=1 names=
            values='' ;;
        'grammar check')
            words='-h --help --json' files=1 names=
            values='' ;;
        'grammar test')
            words='-h --help --json' files=1 names=
            values='' ;;
        'grammar from-schema')
            words='-h --help --json' files=1 names=
            values='' ;;
        'grammar '*)
            words='list show check test from-schema -h --help --debug' files= names=
            values='' ;;
        'search '*)
            words='-h --help --debug --limit --json' files= names=
            values='--limit=@any' ;;
        'show '*)
            words='-h --help --debug --json' files=1 names=1
            values='' ;;
        'install '*)
            words='-h --help --debug --lock --allow-unsigned -y --yes --trust --any-base -m --model --json' files=1 names=
            values='--lock=@files --trust=@any -m=@models --model=@models' ;;
        'uninstall '*)
            words='-h --help --debug --json' files= names=1
            values='' ;;
        'list '*)
            words='-h --help --debug --lock --json' files= names=
            values='' ;;
        'update '*)
            words='-h --help --debug --check --offline -y --yes --trust --any-base -m --model --json' files= names=1
            values='--trust=@any -m=@models --model=@models' ;;
        'rollback '*)
            words='-h --help --debug --list --json' files= names=
            values='' ;;
        'pin '*)
            words='-h --help --debug --off --json' files= names=1
            values='' ;;
        'verify '*)
            words='-h --help --debug --deep --repair --json' files= names=1
            values='' ;;
        'gc '*)
            words='-h --help --debug --dry-run --keep --json' files= names=
            values='--keep=@any' ;;
        'source list')
            words='-h --help --json' files= names=
            values='' ;;
        'source add')
            words='-h --help --json' files=1 names=
            values='' ;;
        'source remove')
            words='-h --help --json' files= names=
            values='' ;;
        'source refresh')
            words='-h --help --json' files= names=
            values='' ;;
        'source '*)
            words='list add remove refresh -h --help --debug' files= names=
            values='' ;;
        'trust list')
            words='-h --help --json' files= names=
            values='' ;;
        'trust pin')
            words='-h --help --json' files=1 names=
            values='' ;;
        'trust revoke')
            words='-h --help --reason --json' files= names=
            values='--reason=@any' ;;
        'trust rotate')
            words='-h --help -k --old -o --output --revoke --json' files=1 names=
            values='-k=@files --old=@files -o=@files --output=@files --revoke=@any' ;;
        'trust apply')
            words='-h --help --json' files=1 names=
            values='' ;;
        'trust export')
            words='-h --help --json' files= names=
            values='' ;;
        'trust '*)
            words='list pin revoke rotate apply export -h --help --debug' files= names=
            values='' ;;
        'bundle create')
            words='-h --help -m --model --json' files=1 names=1
            values='-m=@models --model=@models' ;;
        'bundle install')
            words='-h --help -y --yes --trust --json' files=1 names=
            values='--trust=@any' ;;
        'bundle '*)
            words='create install -h --help --debug' files= names=
            values='' ;;
        'model list')
            words='-h --help --available --json' files= names=
            values='' ;;
        'model pull')
            words='-h --help --newest --json' files= names=
            values='' ;;
        'model show')
            words='-h --help --json' files= names=
            values='' ;;
        'model rm')
            words='-h --help -y --yes --json' files= names=
            values='' ;;
        'model use')
            words='-h --help --json' files= names=
            values='' ;;
        'model path')
            words='-h --help --json' files= names=
            values='' ;;
        'model '*)
            words='list pull show rm use path -h --help --debug' files= names=
            values='' ;;
        'convert model')
            words='-h --help --type -o --output -q --quiet --debug' files=1 names=
            values='--type=f32,f16,bf16,q8_0,q2_k,q3_k_m,q4_0,q4_k_m,q5_k_m,q6_k -o=@files --output=@files' ;;
        'convert adapter')
            words='-h --help --type --rank --base -o --output -q --quiet --debug' files=1 names=
            values='--type=f32,f16,bf16,q8_0 --rank=@any --base=@files -o=@files --output=@files' ;;
        'convert peft')
            words='-h --help --base -o --output -q --quiet --debug' files=1 names=
            values='--base=@files -o=@files --output=@files' ;;
        'convert '*)
            words='model adapter peft -h --help --debug' files= names=
            values='' ;;
        'fuse '*)
            words='-h --help --debug -o --output --rank --type --base --json' files=1 names=
            values='-o=@files --output=@files --rank=@any --type=f32,f16,bf16,q8_0 --base=@files' ;;
        'compress '*)
            words='-h --help --debug -o --output --method --budget --base --calibration -k --key --version --json' files=1 names=
            values='-o=@files --output=@files --method=q8_0,q4_0,q3,q2,svd,osd --budget=@any --base=@files --calibration=@files -k=@files --key=@files --version=@any' ;;
        'conflicts '*)
            words='-h --help --debug --json' files=1 names=
            values='' ;;
        'new '*)
            words='-h --help --debug --publisher -m --model --json' files=1 names=
            values='--publisher=@any -m=@models --model=@models' ;;
        'pack '*)
            words='-h --help --debug -o --output -k --key --json' files=1 names=
            values='-o=@files --output=@files -k=@files --key=@files' ;;
        'keygen '*)
            words='-h --help --debug -o --output -c --comment --json' files= names=
            values='-o=@files --output=@files -c=@any --comment=@any' ;;
        'sign '*)
            words='-h --help --debug -k --key --signature --manifest -o --output --json' files=1 names=
            values='-k=@files --key=@files --signature=@files --manifest=@files -o=@files --output=@files' ;;
        'inspect '*)
            words='-h --help --debug --json' files=1 names=
            values='' ;;
        'validate '*)
            words='-h --help --debug --json' files=1 names=
            values='' ;;
        'diff '*)
            words='-h --help --debug --json' files=1 names=
            values='' ;;
        'extract '*)
            words='-h --help --debug -o --output --json' files=1 names=
            values='-o=@files --output=@files' ;;
        'import '*)
            words='-h --help --debug --name --rank -y --yes -m --model --json' files= names=
            values='--name=@any --rank=@any -m=@models --model=@models' ;;
        'migrate '*)
            words='-h --help --debug -o --output --to --publisher --convert --rank -m --model --json' files=1 names=
            values='-o=@files --output=@files --to=expert,tar.gz --publisher=@any --rank=@any -m=@models --model=@models' ;;
        'publish '*)
            words='-h --help --debug --json' files=1 names=
            values='' ;;
        'train dpo')
            words='-h --help --debug --data --out --base --minutes --tokens --resume --sweep --device --rows --other -k --sign --into --json' files=1 names=
            values='--data=@files --out=@files --base=@any --minutes=@any --tokens=@any --sweep=@any --device=auto,cpu,cuda --rows=@any --other=@files -k=@files --sign=@files --into=@files' ;;
        'train distill')
            words='-h --help --debug --data --out --base --minutes --tokens --resume --sweep --device --rows --other -k --sign --into --json --teacher --level --teacher-model --max-tokens --parallel --key-from' files=1 names=
            values='--data=@files --out=@files --base=@any --minutes=@any --tokens=@any --sweep=@any --device=auto,cpu,cuda --rows=@any --other=@files -k=@files --sign=@files --into=@files --teacher=@files --level=sequence,logits --teacher-model=@any --max-tokens=@any --parallel=@any --key-from=@any' ;;
        'train all')
            words='-h --help --debug --data -k --key --only --pocket --experts --out --base --minutes --tokens --resume --dry-run --keep-all --rows --device --json' files= names=
            values='--data=@files -k=@files --key=@files --only=@any --pocket=@files --experts=@files --out=@files --base=@any --minutes=@any --tokens=@any --rows=@any --device=auto,cpu,cuda' ;;
        'train '*)
            words='dpo distill all -h --help --debug --data --out --base --minutes --tokens --resume --sweep --device --rows --other -k --sign --into --json' files=1 names=
            values='--data=@files --out=@files --base=@any --minutes=@any --tokens=@any --sweep=@any --device=auto,cpu,cuda --rows=@any --other=@files -k=@files --sign=@files --into=@files' ;;
        'dataset stats')
            words='-h --help --tokens -m --model --form --map --split --encoding --delimiter --skip-bad --json' files=1 names=
            values='-m=@models --model=@models --form=auto,rows,alpaca,sharegpt,preference,text --map=@any --split=@any --encoding=@any --delimiter=@any' ;;
        'dataset validate')
            words='-h --help --task --schema --databases --longest --form --map --split --encoding --delimiter --json -o --output --force' files=1 names=
            values='--task=sql,json,shell,regex --schema=@files --databases=@files --longest=@any --form=auto,rows,alpaca,sharegpt,preference,text --map=@any --split=@any --encoding=@any --delimiter=@any -o=@files --output=@files' ;;
        'dataset dedupe')
            words='-h --help --exact --near --by --form --map --split --encoding --delimiter --skip-bad --json -o --output --force' files=1 names=
            values='--near=@any --by=all,prompt,answer --form=auto,rows,alpaca,sharegpt,preference,text --map=@any --split=@any --encoding=@any --delimiter=@any -o=@files --output=@files' ;;
        'dataset split')
            words='-h --help --part --by --seed --form --map --split --encoding --delimiter --skip-bad --json -o --output' files=1 names=
            values='--part=@any --by=@any --seed=@any --form=auto,rows,alpaca,sharegpt,preference,text --map=@any --split=@any --encoding=@any --delimiter=@any -o=@files --output=@files' ;;
        'dataset convert')
            words='-h --help --form --map --split --encoding --delimiter --skip-bad --json -o --output --force' files=1 names=
            values='--form=auto,rows,alpaca,sharegpt,preference,text --map=@any --split=@any --encoding=@any --delimiter=@any -o=@files --output=@files' ;;
        'dataset difficulty')
            words='-h --help --cuts -m --model --form --map --split --encoding --delimiter --skip-bad --json -o --output --force' files=1 names=
            values='--cuts=@any -m=@models --model=@models --form=auto,rows,alpaca,sharegpt,preference,text --map=@any --split=@any --encoding=@any --delimiter=@any -o=@files --output=@files' ;;
        'dataset diversity')
            words='-h --help --embedding --sample --near --by --form --map --split --encoding --delimiter --skip-bad --json -o --output --force' files=1 names=
            values='--embedding=@files --sample=@any --near=@any --by=all,prompt,answer --form=auto,rows,alpaca,sharegpt,preference,text --map=@any --split=@any --encoding=@any --delimiter=@any -o=@files --output=@files' ;;
        'dataset generate')
            words='-h --help -o --output --count --budget --tokens --parallel --dry-run --finish --force -y --yes --json' files=1 names=
            values='-o=@files --output=@files --count=@any --budget=@any --tokens=@any --parallel=@any' ;;
        'dataset '*)
            words='stats validate dedupe split convert difficulty diversity generate -h --help --debug' files= names=
            values='' ;;
        'eval '*)
            words='-h --help --debug --data --recipe --rows --other --shots --into -m --model --json' files=1 names=
            values='--data=@files --recipe=@files --rows=@any --other=@files --shots=@any --into=@files -m=@models --model=@models' ;;
        'bench experts')
            words='-h --help --debug --history --json' files=1 names=
            values='--history=@any' ;;
        'bench package')
            words='-h --help --debug --rank --repeat --json' files=1 names=
            values='--rank=@any --repeat=@any' ;;
        'bench grammar')
            words='-h --help --debug --tokens --repeat --threads --json' files=1 names=
            values='--tokens=@any --repeat=@any --threads=@any' ;;
        'bench compress')
            words='-h --help --debug --budget --calibration --data --recipe --rows --repeat -m --model --json' files=1 names=
            values='--budget=@any --calibration=@files --data=@files --recipe=@files --rows=@any --repeat=@any -m=@models --model=@models' ;;
        'bench '*)
            words='experts package grammar compress -h --help --debug --prompt --decode --repeat --threads --gpu-layers --json' files=1 names=
            values='--prompt=@any --decode=@any --repeat=@any --threads=@any --gpu-layers=@any' ;;
        'config list')
            words='-h --help --json' files= names=
            values='' ;;
        'config get')
            words='-h --help --json' files= names=
            values='' ;;
        'config set')
            words='-h --help --json' files= names=
            values='' ;;
        'config unset')
            words='-h --help --json' files= names=
            values='' ;;
        'config path')
            words='-h --help --json' files= names=
            values='' ;;
        'config edit')
            words='-h --help --json' files= names=
            values='' ;;
        'config '*)
            words='list get set unset path edit -h --help --debug' files= names=
            values='' ;;
        'completions '*)
            words='-h --help --debug' files= names=
            values='' ;;
        'man '*)
            words='-h --help --debug' files= names=
            values='' ;;
        'doctor '*)
            words='-h --help --debug --repair -m --model --json' files= names=
            values='-m=@models --model=@models' ;;
        'paths '*)
            words='-h --help --debug --json' files= names=
            values='' ;;
        'version '*)
            words='-h --help --debug' files= names=
            values='' ;;
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
