verb=$1
shift
case $verb in
  probe) probe ;;
  doctor) doctor ;;
  begin) begin "$@" ;;
  follow) follow "$@" ;;
  confirm) confirm "$@" ;;
  abort) abort "$@" ;;
  watch) watch "$@" ;;
  recover) recover "$@" ;;
  repair-boot-files) repair_boot_files ;;
  history) history ;;
  survey) survey ;;
  would-free) would_free "$@" ;;
  clean) begin_clean "$@" ;;
  log) kept_log "$@" ;;
  dry-activate) dry_activate "$@" ;;
  # Whatever came of it is recorded: a failure would only have it started once more.
  supervise) supervise "$@"; exit 0 ;;
  guard) guard "$@"; exit 0 ;;
  *) echo "unknown verb: $verb" >&2; exit 64 ;;
esac
exit
