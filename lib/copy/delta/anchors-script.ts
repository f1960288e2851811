import { searchPath } from '../../nix/search-path.ts'

/**
 * On the builder. Reads lines `NEW OLD`, and tells for each, in that order, `= SIZE SIZE` of the two NARs and lines
 * `PLACE PLACE` of where the contents of a file begin in the new NAR, and in the old one that of the same name: one for
 * each 64 KiB at most. The places follow from the format (Nix manual, "Nix Archive format"): directories in the order of
 * their bytes, words as length, bytes and padding to 8.
 */
export const anchorsScript = String.raw`${searchPath}
export LC_ALL=C
zstd -H 2> /dev/null | grep -q -e --patch-from || exit 1
pairs=$(cat)
{
  printf '%s\n\n' "$pairs"
  # The separator of directories comes before all that a name may have, so that the whole path is in the NAR's order.
  printf '%s\n' "$pairs" | tr ' ' '\n' | sort -u | xargs sh -c 'find "$@" -printf "%p\t%y\t%m\t%s\n"' sh |
    tr / '\001' | sort -t "$(printf '\t')" -k 1,1
} | awk -F '\t' '
  function text(size) { return 8 + size + (8 - size % 8) % 8 }
  function finish() { if (root != "") size[root] = at + 32 * open + (type == "d" ? 16 : 0) }
  !listing && $0 == "" { listing = 1; next }
  !listing { gsub("/", "\001"); split($0, pair, " "); pairs++; news[pairs] = pair[1]; olds[pairs] = pair[2]; next }
  {
    parts = split($1, part, "\001")
    depth = parts - 4
    if (depth == 0) { finish(); root = $1; type = $2; at = 24; open = 0 }
    else {
      for (; open > depth - 1; open--) at += 32
      at += 64 + text(length(part[parts]))
    }
    at += 32
    if ($2 == "d") { at += 24; open = depth; next }
    if ($2 == "l") at += 32 + text($4)
    else {
      at += substr($3, length($3) - 2, 1) % 2 ? 64 : 32
      name = substr($1, length(root) + 1)
      files[root]++
      names[root, files[root]] = name
      places[root, name] = at + 8
      at += text($4)
    }
    at += depth > 0 ? 32 : 16
  }
  END {
    finish()
    for (one = 1; one <= pairs; one++) {
      inNew = news[one]; inOld = olds[one]; before = -65536
      printf "= %.0f %.0f\n", size[inNew], size[inOld]
      for (file = 1; file <= files[inNew]; file++) {
        name = names[inNew, file]; place = places[inNew, name]
        if (place - before < 65536 || !((inOld, name) in places)) continue
        printf "%.0f %.0f\n", place, places[inOld, name]
        before = place
      }
    }
  }'`
