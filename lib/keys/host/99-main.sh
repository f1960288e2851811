verb=$1
shift
read_secret
case $verb in
  install | make-next | swap | swap-back | drop-old | forget) begin_step || exit 73 ;;
esac
case $verb in
  hold) hold "$@" ;;
  state) state "$@" ;;
  install) install_keys "$@" ;;
  acceptance) acceptance "$@" ;;
  verify) verify "$@" ;;
  publics) publics "$@" ;;
  make-next) make_next "$@"; echo end ;;
  swap) swap "$@"; echo end ;;
  swap-back) swap_back "$@"; echo end ;;
  drop-old) drop_old "$@"; echo end ;;
  forget) forget "$@"; echo end ;;
  *) echo "unknown verb: $verb" >&2; exit 64 ;;
esac
exit
