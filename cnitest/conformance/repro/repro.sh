# ---- How it is done: the same in every such script. ----

cannot() { echo "This script could not run: $*" >&2; exit 2; }

# Programs are looked for where the host of the report finds them, too: not every PATH has the sbin directories.
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Everything below happens in namespaces that end with this script, however it ends. What depends on chance is tried
# several times, each in new ones.
enter() {
  [ "$(id -u)" = 0 ] || cannot "it needs root (or: unshare -Urnm bash $0)"
  for tool in unshare ip mount timeout base64 gunzip; do
    command -v $tool >/dev/null || cannot "there is no $tool here"
  done
  local inside=(unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private
    -- env -i INSIDE=1 "PATH=$PATH" "CNI_PATH=${CNI_PATH:-}" "CNI_PATH_NEXT=${CNI_PATH_NEXT:-}"
    bash "$0")
  while [ $((tries -= 1)) -gt 0 ]; do "${inside[@]}" || exit; done
  exec "${inside[@]}"
}

# A private /run and /sys; what is written to /etc, /var, /usr, /opt and /srv lands in a layer of our own.
furnish() {
  export LC_ALL=C
  trap 'exit 2' INT TERM HUP
  mount -t sysfs sysfs /sys 2>/dev/null || mount -t sysfs -o ro sysfs /sys ||
    cannot "it may not mount /sys; a user namespace may where one is mounted around, and nothing over parts of it"
  mount -t tmpfs -o mode=755 tmpfs /run || cannot "it may not mount"
  mkdir -p /run/netns /run/lock /run/cni /run/working-directory $files $work
  touch $work/begun
  for directory in /etc /var /usr /opt /srv; do
    [ -d $directory ] || continue
    mkdir -p $work/layers$directory/upper $work/layers$directory/work
    mount -t overlay -o lowerdir=$directory,upperdir=$work/layers$directory/upper,workdir=$work/layers$directory/work \
      overlay $directory 2>/dev/null || case $directory in
      /etc) mkdir -p /etc/cni && mount -t tmpfs tmpfs /etc/cni ;;
      /var) mount -t tmpfs tmpfs /var/lib ;;
    esac || cannot "it may not mount"
  done
  for directory in /var/lib/cni /etc/cni/net.d; do
    mkdir -p $directory 2>/dev/null || private $directory || cannot "it may not make $directory"
  done
  { [ -w /var/lib/cni ] && [ -r /var/lib/cni ] && [ -z "$(ls -A /var/lib/cni)" ]; } ||
    mount -t tmpfs -o mode=755 tmpfs /var/lib/cni || cannot "it may not mount"
  [ "$path" = "$recorded_path" ] || echo "s|$recorded_path|$path|g" >>$work/now.sed
}

# An empty private directory. Below a user namespace the directories of the real root are not ours to write to: then a
# parent that lacks it is rebuilt around it by binds.
private() {
  [ -d "$1" ] || mkdir -p "$1" 2>/dev/null || { rebuild "${1%/*}" && mkdir -p "$1"; } || return
  mount -t tmpfs -o mode=755 tmpfs "$1"
}

rebuild() {
  local old=$work/old$1 entry new
  [ -d "$1" ] || { rebuild "${1%/*}" && mkdir -p "$1"; return; }
  mkdir -p "$old" && mount --rbind "$1" "$old" && mount -t tmpfs -o mode=755 tmpfs "$1" || return
  for entry in "$old"/* "$old"/.[!.]*; do
    new=$1/${entry##*/}
    if [ -L "$entry" ]; then cp -P "$entry" "$new"
    elif [ -d "$entry" ]; then mkdir "$new" && mount --rbind "$entry" "$new" || return
    elif [ -e "$entry" ]; then : >"$new" && mount --bind "$entry" "$new" || return
    fi
  done
}

# What builds the machines: it has to succeed.
must() { "$@" || cannot "$*"; }

# A sysctl of a place: its name, and a value to write.
tune() { local file=${2//.//}; must within "$1" bash -c "echo '$3' >'/proc/sys/$file'"; }

# Runs a command at a place: - is the host, other names are those of network namespaces.
within() {
  local place=$1; shift
  if [ "$place" = - ]; then "$@"; else ip netns exec "$place" "$@"; fi
}

# What the report has, with the names, MACs and paths that this run has instead; of words, into an array.
now() { sed -f $work/now.sed; }
now_words() { mapfile -d '' words < <([ $# = 0 ] || printf '%s\0' "$@" | sed -z -f $work/now.sed); }

# A command that was run between the calls; it did succeed.
run() { try "$@" || hindered="$*"; }

# A command that may fail.
try() {
  local place=$1 words; shift
  now_words "$@"
  echo "\$ ${words[*]}$([ "$place" = - ] || echo "   (in $place)")"
  within "$place" "${words[@]}" 2>&1 | visible | sed 's/^/    /'
  return "${PIPESTATUS[0]}"
}

# The standard input of a call: as text, or compressed in base64.
sends() { printf %s "$2" | now >$work/$1.stdin; }
sends_packed() { base64 -d | gunzip | now >$work/$1.stdin; }

# From now on the plugins of another release come first.
release() {
  local next=${CNI_PATH_NEXT:-$1} directory
  for directory in ${next//:/ }; do [ -d "$directory" ] || cannot "there is no directory $directory"; done
  path=$next:$path
}

# The binary of a plugin.
binary() {
  local directories directory
  IFS=: read -ra directories <<<"$path"
  for directory in "${directories[@]}"; do [ -f "$directory/$1" ] && echo "$directory/$1" && return; done
  return 1
}

# Whether a call can be killed before one of its changes, which takes cnitest; else it is killed after a time.
kills() { "$python" -c 'import cnitest.faults.killing' 2>/dev/null; }

# Calls a plugin: a number, the plugin, its whole environment, and after -- what comes before it on the command line.
call() {
  local number=$1 plugin=$2 found environment=() starts=() words code; shift 2
  found=$(binary "$plugin") || cannot "there is no plugin $plugin in $path"
  while [ $# -gt 0 ] && [ "$1" != -- ]; do environment+=("$1"); shift; done
  shift
  now_words "${environment[@]}"
  if [ "${change:-}" ] && kills; then
    timeout --signal=KILL 60 "$python" -m cnitest.faults.killing $change "${words[@]}" -- "$@" "$found" \
      <$work/$number.stdin >$work/$number.stdout 2>$work/$number.stderr; code=$?
  else
    case $found in /*) starts=(-C /run/working-directory) ;; esac
    { timeout --signal=KILL "${limit:-12}" env -i "${starts[@]}" "${words[@]}" "$@" "$found" \
      <$work/$number.stdin >$work/$number.stdout 2>$work/$number.stderr; code=$?; } 2>/dev/null
  fi
  ask_now $number
  echo $code >$work/$number.code
  show $number "$plugin" "${words[@]}"
}

# Has an address be asked from a place the moment the next call has ended: who asks is started before, so that it takes
# no time then.
at_once() {
  local place=$1 target=$2 seconds=$3 number=${#asking[@]} go said ready=
  mkfifo $work/go.$number $work/said.$number
  exec {go}<>$work/go.$number {said}<>$work/said.$number
  within "$place" bash -c 'echo ready; read -r
    exec 3< <({ true 4<>/dev/tcp/$0/9 && echo open; } 2>&1)
    read -r -t $1 -u 3 answer
    case $answer in open | *refused*) echo answered ;; *) echo silent ;; esac' "$target" "$seconds" <&$go >&$said &
  read -r -t 12 -u $said ready
  [ "$ready" = ready ] || cannot "$place cannot ask $target"
  asking+=("$go $said $place $target")
}

ask_now() {
  local number=$1 go said what answer one
  for one in "${asking[@]}"; do read -r go said what <<<"$one"; echo >&$go; done
  for one in "${asking[@]}"; do
    read -r go said what <<<"$one"
    read -r -t 12 -u $said answer
    [ "$answer" = answered ] || echo "$number $what" >>$work/unanswered
    exec {go}>&- {said}>&-
    rm $work/go.* $work/said.* 2>/dev/null
  done
  asking=()
}

# A call as a person reads it.
show() {
  local number=$1 plugin=$2; shift 2
  echo; echo "[$number] $(printf '%s\n' "$@" | grep -a ^CNI_ | tr '\n' ' ' | visible)$plugin"
  echo "    stdin:     $(head -c 1500 $work/$number.stdin | tr -s ' \n\t\0' ' ' | visible)"
  echo "    exit code: $(cat $work/$number.code)$(signal "$(cat $work/$number.code)")"
  [ ! -s $work/$number.stdout ] || echo "    stdout:    $(head -c 1500 $work/$number.stdout | tr -s ' \n\t\0' ' ' | visible)"
  [ ! -s $work/$number.stderr ] || head -c 1500 $work/$number.stderr | visible | sed 's/^/    stderr:    /'
}

# What was said, without what would steer a terminal.
visible() { cat -v; }

# Which signal an exit code may stand for: what a program says itself looks the same to a shell.
signal() { [ "$1" -le 128 ] || ! kill -l $(($1 - 128)) >/dev/null 2>&1 || echo " (or signal $(kill -l $(($1 - 128))))"; }

# A call that had to succeed for the rest to mean anything.
needed() { [ "$(cat $work/$1.code)" = 0 ] || hindered="call $1, which has to succeed"; }

# A daemon that is ready when its socket is there; it ends with this script.
daemon() {
  local socket=$1 tries=0; shift
  env -i "${usual[@]}" "$@" >$work/daemon.log 2>&1 & daemon=$!
  until [ -z "$socket" ] || [ -S "$socket" ]; do
    [ $((tries += 1)) -lt 500 ] || cannot "$* does not open $socket: $(cat $work/daemon.log)"
    sleep 0.02
  done
}

# The names and MACs that a call drew when it was recorded: from now on those that it drew here stand for them.
drawn() {
  local number=$1 there here; shift
  read -ra here <<<"$(grep -aoE '([0-9a-f]{2}:){5}[0-9a-f]{2}|veth[0-9a-f]{8}' $work/$number.stdout | awk '!seen[$0]++' | tr '\n' ' ')"
  [ ${#here[@]} = $# ] || return 0
  for there; do echo "s/$there/${here[0]}/g"; here=("${here[@]:1}"); done >>$work/now.sed
}

# What does not change from run to run.
plain() {
  head -c 20000 | tr -d ' \n\t\0' | sed -E 's/([0-9a-f]{2}:){5}[0-9a-f]{2}/MAC/g; s/veth[0-9a-f]{8}/VETH/g; s/fe80:[0-9a-f:]+/LL/g' | head -c 4000
}

# ---- A plugin that plays a part. It was installed or given another part: what follows is its script. ----

fake() {
  mkdir -p "$1/.$2"; : >"$1/.$2/turns"
  { echo "#!$BASH"; echo "home=$1/.$2"; cat; } >"$1/.$2/new" && chmod +x "$1/.$2/new" && mv "$1/.$2/new" "$1/$2"
}

forget() { : >"$1/.$2/calls"; }

# ---- A look around: a line for everything that there is. ----

look() {
  local name=$1; shift
  { around "$host" -; for place; do [ ! -e /run/netns/$place ] || around "$host/$place" $place; done; firewall; files; } |
    sed -E 's/([0-9a-f]{2}:){5}[0-9a-f]{2}/MAC/g; s/veth[0-9a-f]{8}/VETH/g; s/@if[0-9]+//g; s/ +/ /g; s/ $//' | sort >$work/$name
}

around() {
  local at=(ip) link hook; [ "$2" = - ] || at=(ip -n "$2")
  "${at[@]}" -d -o link | sed -E "s/^[0-9]+: ([^:@]+)[:@]/\1 /; s/(LOWER_UP|NO-CARRIER|M-DOWN),?//g; s/,>/>/
    s/ (qdisc|state|index|link-netnsid|link-netns|numtxqueues|numrxqueues|gso_[a-z_]+|gro_[a-z_0-9]+|tso_[a-z_]+|allmulti) \S+//g
    s/ (bridge|designated_|root_|topology_|hello_timer|tcn_timer|gc_timer|message_age_|forward_delay_|hold_timer)\S* .*(bridge_slave|$)//
    s|^|$1 link |"
  "${at[@]}" -o address | sed -E "s/^[0-9]+: (\S+) +inet6? (\S+).*/\1 \2/; s|^|$1 address |"
  for family in 4 6; do
    "${at[@]}" -$family -o route show table all 2>/dev/null | sed -E "s/ (expires|hoplimit|pref) \S+//g; s/ linkdown//; s|^|$1 route |"
    "${at[@]}" -$family rule 2>/dev/null | sed -E "s/\t/ /; s|^|$1 rule $family |"
  done
  within "$2" tc qdisc 2>/dev/null | sed -E "s/^qdisc (\S+) \S+ dev (\S+)/\1 dev \2/; s|^|$1 qdisc |"
  "${at[@]}" nexthop 2>/dev/null | sed -E "s|^|$1 nexthop |"
  for link in $(within "$2" tc qdisc 2>/dev/null | sed -nE "s/^qdisc (htb|hfsc|prio|ingress|clsact) \S+ dev (\S+) .*/\2/p" | sort -u); do
    within "$2" tc class show dev $link 2>/dev/null | sed -E "s|^|$1 $link |"
    for hook in '' ingress egress; do
      within "$2" tc filter show dev $link $hook 2>/dev/null | sed -E "s|^filter|$1 $link filter ${hook:-tree}|"
    done
  done
}

firewall() {
  local tool
  for tool in iptables ip6tables iptables-legacy ip6tables-legacy; do
    case $tool in iptables|ip6tables) command -v $tool-nft-save ;; *) grep -q . /proc/net/${tool%tables-legacy}_tables_names ;; esac \
      >/dev/null 2>&1 || continue
    "${tool/%tables/tables-nft}"-save 2>/dev/null | sed -nE "s/ ?\[[0-9]+:[0-9]+\]//; /^\*/{s/.//;h}; /^[-:]/{G;s/(.*)\n(.*)/$host $tool \2: \1/p}"
  done
  # The tables that iptables keeps were shown by iptables.
  nft -s list ruleset 2>/dev/null | awk -v host="$host" '{sub(/^[ \t]+/, "")}
    /\{$/ {sub(/ *\{$/, ""); stack[++depth] = $0; if (depth == 1 && !kept()) print host " nft " $0; next}
    /^\}$/ {depth--; next}
    function kept() {return stack[1] ~ /^table ip6? (filter|nat|mangle|raw|security)$/}
    NF && !kept() {line = stack[1]; for (n = 2; n <= depth; n++) line = line " " stack[n]; print host " nft " line ": " $0}'
}

files() {
  { find /run -path $work -prune -o -path $files -prune -o -path /run/netns -prune -o -printf '%p %y\n'
    for directory in etc var usr opt srv; do
      find $work/layers/$directory/upper -mindepth 1 -printf "/$directory/%P %y\n"
    done
    find /var/lib/cni /etc/cni -printf '%p %y\n'
    find /tmp /root /home -xdev -maxdepth 4 -type f -newer $work/begun -printf '%p %y\n'
  } 2>/dev/null | sort -u | while read -r file kind; do
    echo "$host file $file $kind $([ "$kind" != f ] || cksum <"$file")"
  done
}

# ---- What the report says, and whether it is so here. ----

# Things that match are more (or fewer, or others) in a later look than in an earlier one.
count() { grep -aEc -- "$2" $work/$1; }
came() { [ "$(count $2 "$3")" -gt "$(count $1 "$3")" ]; }
went() { [ "$(count $2 "$3")" -lt "$(count $1 "$3")" ]; }
changed() { ! cmp -s <(grep -aE -- "$3" $work/$1) <(grep -aE -- "$3" $work/$2); }

# A call ended so, and said this.
answered() { [ "$(cat $work/$1.code)" = "$2" ] && [ "$(now <<<"$3" | plain)" = "$(plain <$work/$1.stdout)" ]; }
one_ended() {
  local code=$1 number; shift
  for number; do [ "$(cat $work/$number.code)" != "$code" ] || return 0; done
  return 1
}
ended() { [ "$(cat $work/$1.code)" = "$2" ]; }
crashed() { grep -aqE '^(panic: |fatal error: |goroutine [0-9]+ \[|Traceback \(most recent call last\)|thread .* panicked)' $work/$1.stderr $work/$1.stdout; }

# A plugin that plays a part was called for these commands, or exactly so.
commands() { [ "$(cut -d ' ' -f 1 <"$1/.$2/calls" 2>/dev/null | tr '\n' ' ')" = "$3" ]; }
calls() { [ "$(plain <"$1/.$2/calls")" = "$(now <<<"$3" | plain)" ]; }

# Whether an address answers a TCP connection from a place, be it by refusing it.
reaches() {
  within "$1" timeout "${3:-3}" bash -c "exec 3<>/dev/tcp/$2/9" 2>&1 | grep -q refused && return
  within "$1" timeout "${3:-3}" bash -c "exec 3<>/dev/tcp/$2/9" 2>/dev/null
}

# An address that answered when this was recorded; what does not answer from the start cannot be lost later.
probe() { reaches "$@" || { hindered="$2 does not answer $1"; echo "$1 $2" >>$work/silent; }; }
unanswered() { ! grep -qx -- "$2 $3" $work/silent && grep -qx -- "$1 $2 $3" $work/unanswered; }
lost() { ! grep -qx -- "$1 $2" $work/silent && ! reaches "$@"; }

# Whether a packet for an address arrives at another place, of TCP unless it is said; it may have to wait until its next
# hop is known.
arrives() {
  local protocol=${4:-tcp} port=${5:-9} before try
  before=$(received "$3" $protocol)
  for try in 1 2 3; do
    within "$1" timeout 1 bash -c "echo >/dev/$protocol/$2/$port" 2>/dev/null
    [ "$(received "$3" $protocol)" = "$before" ] || return 0
    sleep 0.2
  done
  return 1
}
received() {
  within "$1" cat /proc/net/snmp /proc/net/snmp6 |
    awk -v of="$2" '/^Tcp: [0-9]/ && of == "tcp" {n += $11} /^Udp: [0-9]/ && of == "udp" {n += $2 + $3}
      /^Udp6(InDatagrams|NoPorts) / && of == "udp" {n += $2} END {print n + 0}'
}

# Whether the host gives a datagram to an address another source than it has.
hides() {
  within "$1" bash -c "echo > /dev/udp/$2/9"
  conntrack -L --orig-src "$3" --orig-dst "$2" 2>/dev/null | grep -v " dst=$3 " | grep -q .
}

# What the kernel has: an address on a link, a route to a destination (and what else it says), a neighbour at hand.
has_address() { within "$1" ip -o address show dev "$2" | grep -qF " $3 "; }
has_route() {
  local place=$1 to=$2 family=4; shift 2
  case $to in *:*) family=6 ;; esac
  case $to in 0.0.0.0/0 | ::/0) to=default ;; esac
  within "$place" ip -$family route show table all | grep -E "^${to%/32} .*$*"
}
on_link() { within "$1" ip route get "$2" 2>/dev/null | head -n 1 | grep -v " via "; }
answers_have() { grep -qiF -- "$1" $work/*.stdout; }
sysctl_is() { [ "$(within "$1" cat "/proc/sys/${2//.//}")" = "$3" ]; }
holds() { eval "$1"; }

# One thing that the report says, and the condition that holds while it is so.
says() {
  local words=$1; shift
  if "$@" >/dev/null 2>&1; then seen=1; echo "  seen:     $words"; else echo "  not seen: $words"; fi
}

# What came and went between two looks, for a person: less what the kernel keeps by itself.
differs() {
  echo; echo "What is different ($1, $2):"
  diff $work/$1 $work/$2 | visible | sed -n 's/^</  -/p; s/^>/  +/p' |
    grep -vE ' address \S+ fe80:| route .*(table local|fe80::/64|multicast ff00::/8)| qdisc noqueue | directory$'
}

conclude() {
  [ -z "${hindered:-}" ] || echo "  (what went otherwise than in the report: $hindered)"
  [ "$seen" = 0 ] || { echo "Seen: it is as the report says."; exit 1; }
  [ -z "${hindered:-}" ] || cannot "what the finding builds on went otherwise: $hindered"
  echo "Not seen: it is not as the report says."; exit 0
}

work=/run/repro files=/run/repro-files seen=0 hindered= asking=()
recorded_path=$path; path=${CNI_PATH:-$path}
[ "${INSIDE:-}" ] || enter
furnish
: >>$work/now.sed; : >$work/silent; : >$work/unanswered
topology
steps
echo; echo "What the report says:"
signs
conclude
