import Devices
import Tensors

/// The tokens that rows attend to, by what observed rows do: sorted and counted, as ``TokenChoice`` says it.
func chooseTokens(
  _ choice: TokenChoice, columns: Matrix<Float>, observed: Matrix<Int32>, end: Matrix<Int32>,
  into chosen: Matrix<Int32>
) {
  let tokens = end.rows == 0 ? 0 : Int(end[end.rows - 1][0])
  let rows = (0..<observed.rows).map { Int(observed[$0][0]) }.filter { $0 >= 0 }
  let inverse =
    PortableMath.reciprocal(Float(max(1, rows.count * choice.headCount))) * TokenChoice.unit
  var shares: [UInt32] = []
  var keys: [UInt32] = []
  for token in 0..<tokens {
    let mass = (1..<choice.kvHeadCount).reduce(columns[0][token]) { $0 + columns[$1][token] }
    let share = mass * inverse
    // What is no number counts as nothing.
    shares.append(share > 0 ? UInt32(min(share, TokenChoice.unit)) : 0)
    let seeing = rows.count { Int(end[$0][0]) > token }
    let key = seeing == 0 ? 0 : UInt64(shares[token]) * UInt64(rows.count) / UInt64(seeing)
    keys.append(UInt32(min(key, UInt64(UInt32.max - 1))))
  }
  let ranked = keys.indices.sorted { keys[$0] == keys[$1] ? $0 < $1 : keys[$0] > keys[$1] }
  var list = ranked.prefix(count(choice, shares)).sorted()
  // The last one in any case.
  if let last = list.last, last != tokens - 1 { list.append(tokens - 1) }
  chosen[0][0] = Int32(list.count)
  for (place, token) in list.enumerated() { chosen[0][TokenChoice.head + place] = Int32(token) }
  for token in 0..<(tokens + 15) / 16 * 16 {
    chosen[1][token] = token < tokens ? Int32(bitPattern: shares[token]) : 0
    chosen[2][token] = token < tokens ? Int32(bitPattern: keys[token]) : 0
  }
}

/// How many tokens there are: as few as have the wanted share together, and one at least.
private func count(_ choice: TokenChoice, _ shares: [UInt32]) -> Int {
  if choice.share >= TokenChoice.whole { return shares.count }
  let total = shares.reduce(UInt64(0)) { $0 + UInt64($1) }
  let whole = UInt64(TokenChoice.whole)
  let wanted = (total * UInt64(choice.share) + whole - 1) / whole
  var (sum, count) = (UInt64(0), 0)
  for share in shares.sorted(by: >) where sum < wanted {
    sum += UInt64(share)
    count += 1
  }
  return min(max(count, 1), shares.count)
}

/// Where rows lie while they attend to chosen tokens.
func placeTokens(
  _ place: TokenPlace, chosen: Matrix<Int32>, end: Matrix<Int32>, into output: Matrix<Int32>
) {
  guard output.rows > 0 else { return }
  let count = Int(chosen[0][0])
  let list = (0..<count).map { Int(chosen[0][TokenChoice.head + $0]) }
  let first = Int(end[0][0]) - 1
  let own = list.filter { $0 >= first }
  for row in 0..<output.rows {
    let number =
      switch place {
      case .source: row < own.count ? own[row] - first : 0
      case .end: row < own.count ? count - own.count + row + 1 : 0
      case .target: own.firstIndex(of: first + row) ?? output.rows - 1
      }
    output[row][0] = Int32(number)
  }
}

/// Keys and values of chosen tokens, side by side in pages of their own.
func gatherTokens(
  _ layout: KVLayout, chosen: Matrix<Int32>, pool: UnsafeRawBufferPointer, pages: Int,
  table: Matrix<Int32>, tables: Matrix<Int32>, into target: UnsafeMutableRawBufferPointer
) {
  for place in 0..<Int(chosen[0][0]) {
    let token = Int(chosen[0][TokenChoice.head + place])
    let page = Int(tables[Int(table[0][0]) + token / KVLayout.pageTokens][0])
    let slot = page * KVLayout.pageTokens + token % KVLayout.pageTokens
    for head in 0..<layout.headCount {
      let key = (0..<layout.headWidth).map {
        layout.key(pool, slot: slot, head: head, $0, pages: pages)
      }
      let value = (0..<layout.headWidth).map {
        layout.value(pool, slot: slot, head: head, $0, pages: pages)
      }
      layout.store(key: key, value: value, target, slot: place, head: head, pages: pages)
    }
  }
}
