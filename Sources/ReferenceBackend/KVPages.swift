package import Devices
import Tensors

extension KVLayout.Element {
  /// Element `index` of numbers that are kept as floats.
  package func load(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Float {
    switch self {
    case .f32: bytes.load(fromByteOffset: index * 4, as: Float.self)
    case .f16: Float(bytes.load(fromByteOffset: index * 2, as: Float16.self))
    case .bf16: BF16.number(bytes.load(fromByteOffset: index * 2, as: UInt16.self))
    case .i16, .q8, .q4, .k4v2, .k2v2: preconditionFailure("codes are read with their scales")
    }
  }

  /// Stores it as the nearest number that the element holds.
  package func store(_ value: Float, _ bytes: UnsafeMutableRawBufferPointer, _ index: Int) {
    switch self {
    case .f32: bytes.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
    case .f16: bytes.storeBytes(of: Float16(value), toByteOffset: index * 2, as: Float16.self)
    case .bf16: bytes.storeBytes(of: BF16.bits(value), toByteOffset: index * 2, as: UInt16.self)
    case .i16, .q8, .q4, .k4v2, .k2v2: preconditionFailure("codes are written with their scales")
    }
  }
}

extension KVLayout {
  /// Where a code lies: a byte, and the lowest of its bits.
  private typealias Place = (byte: Int, shift: Int)

  /// Element `d` of the key of `slot` in a pool of `pages` pages.
  package func key(
    _ pool: UnsafeRawBufferPointer, slot: Int, head: Int, _ d: Int, pages: Int
  ) -> Float {
    let keys = UnsafeRawBufferPointer(
      rebasing: pool[keysOffset(slot: slot, head: head, pages: pages)...])
    let token = slot % Self.pageTokens
    guard element.hasCodes else { return element.load(keys, d * Self.pageTokens + token) }
    if element.hasTokenScales { return Self.scale(keys, token) * Float(keyCode(keys, token, d)) }
    let place = keyPlace(token: token, d)
    guard !element.keysByElement else { return number(keys, range: d, place) }
    let scale = Element.f16.load(keys, d / Self.blockLength * Self.pageTokens + token)
    return scale * Float(code(keys, place, bits: element.keyBits))
  }

  /// Element `d` of the value of `slot` in a pool of `pages` pages.
  package func value(
    _ pool: UnsafeRawBufferPointer, slot: Int, head: Int, _ d: Int, pages: Int
  ) -> Float {
    let values = UnsafeRawBufferPointer(
      rebasing: pool[(keysOffset(slot: slot, head: head, pages: pages) + keysBytes)...])
    let token = slot % Self.pageTokens
    guard element.hasCodes else { return element.load(values, token * headWidth + d) }
    if element.hasTokenScales {
      return Self.scale(values, token) * Float(valueCode(values, token, d))
    }
    let block = token * (headWidth / Self.blockLength) + d / Self.blockLength
    let place = valuePlace(token: token, d)
    guard !element.keysByElement else { return number(values, range: block, place) }
    return Element.f16.load(values, block)
      * Float(code(values, place, bits: element.valueBits))
  }

  /// What a code stands for beside a base and a step.
  private func number(_ half: UnsafeRawBufferPointer, range: Int, _ place: Place) -> Float {
    let base = KVRange.Byte(bits: half[range * 2]).number
    let step = KVRange.Byte(bits: half[range * 2 + 1]).number
    return base + step * Float(half[place.byte] >> place.shift & 3)
  }

  /// Stores keys and values of the first tokens of a page, of one head.
  package func store(
    keys: [[Float]], values: [[Float]], _ pool: UnsafeMutableRawBufferPointer, page: Int,
    head: Int, pages: Int
  ) {
    let slot = page * Self.pageTokens
    guard element.keysByElement else {
      for (token, (key, value)) in zip(keys, values).enumerated() {
        store(key: key, value: value, pool, slot: slot + token, head: head, pages: pages)
      }
      return
    }
    for (token, value) in values.enumerated() {
      store(value: value, pool, slot: slot + token, head: head, pages: pages)
    }
    store(keys: keys, pool, page: page, head: head, pages: pages)
  }

  /// Stores keys of the first tokens of a page as a range for each element.
  fileprivate func store(
    keys: [[Float]], _ pool: UnsafeMutableRawBufferPointer, page: Int, head: Int, pages: Int
  ) {
    let offset = keysOffset(slot: page * Self.pageTokens, head: head, pages: pages)
    let half = UnsafeMutableRawBufferPointer(rebasing: pool[offset...])
    for d in 0..<headWidth {
      let range = KVRange(keys.map { $0[d] })
      (half[d * 2], half[d * 2 + 1]) = (range.base.bits, range.step.bits)
      for token in 0..<Self.pageTokens {
        store(
          few: token < keys.count ? range.codes[token] : 0, half, keyPlace(token: token, d))
      }
    }
  }

  /// Stores the value of `slot` as a range for each block.
  fileprivate func store(
    value: [Float], _ pool: UnsafeMutableRawBufferPointer, slot: Int, head: Int, pages: Int
  ) {
    let offset = keysOffset(slot: slot, head: head, pages: pages) + keysBytes
    let half = UnsafeMutableRawBufferPointer(rebasing: pool[offset...])
    let token = slot % Self.pageTokens
    let blocks = headWidth / Self.blockLength
    for index in 0..<blocks {
      let first = index * Self.blockLength
      let range = KVRange(Array(value[first..<first + Self.blockLength]))
      let place = token * blocks + index
      (half[place * 2], half[place * 2 + 1]) = (range.base.bits, range.step.bits)
      for (i, code) in range.codes.enumerated() {
        store(few: code, half, valuePlace(token: token, first + i))
      }
    }
  }

  private func store(few code: Int, _ half: UnsafeMutableRawBufferPointer, _ place: Place) {
    let byte = Int(half[place.byte]) & ~(3 << place.shift) | code << place.shift
    half[place.byte] = UInt8(byte)
  }

  /// Stores the key and the value of `slot`, of one head, where a token alone has codes.
  package func store(
    key: [Float], value: [Float], _ pool: UnsafeMutableRawBufferPointer, slot: Int, head: Int,
    pages: Int
  ) {
    precondition(!element.keysByElement, "a token alone has no codes")
    let token = slot % Self.pageTokens
    let offset = keysOffset(slot: slot, head: head, pages: pages)
    let keys = UnsafeMutableRawBufferPointer(rebasing: pool[offset...])
    let values = UnsafeMutableRawBufferPointer(rebasing: pool[(offset + keysBytes)...])
    guard element.hasCodes else {
      for d in 0..<headWidth {
        element.store(key[d], keys, d * Self.pageTokens + token)
        element.store(value[d], values, token * headWidth + d)
      }
      return
    }
    guard !element.hasTokenScales else {
      let ofKey = WholeNumbers(key, limit: Self.keyLimit)
      let ofValue = WholeNumbers(value, limit: Self.valueLimit)
      Element.f32.store(ofKey.scale, keys, token)
      Element.f32.store(ofValue.scale, values, token)
      for d in 0..<headWidth {
        keys.storeBytes(
          of: Int16(ofKey.codes[d]), toByteOffset: wholeKeyOffset(token, d), as: Int16.self)
        values.storeBytes(
          of: Int16(ofValue.codes[d]), toByteOffset: wholeValueOffset(token, d), as: Int16.self)
      }
      return
    }
    let blocks = headWidth / Self.blockLength
    for index in 0..<blocks {
      let first = index * Self.blockLength
      let range = first..<first + Self.blockLength
      let ofKey = KVBlock(Array(key[range]), bits: element.keyBits)
      let ofValue = KVBlock(Array(value[range]), bits: element.valueBits)
      Element.f16.store(Float(ofKey.scale), keys, index * Self.pageTokens + token)
      Element.f16.store(Float(ofValue.scale), values, token * blocks + index)
      for i in 0..<Self.blockLength {
        store(ofKey.codes[i], keys, keyPlace(token: token, first + i), bits: element.keyBits)
        store(
          ofValue.codes[i], values, valuePlace(token: token, first + i), bits: element.valueBits)
      }
    }
  }

  /// A token as whole numbers: the scale of its key, or of its value, and the codes.
  struct WholeToken {
    let scale: Float
    let codes: [Int32]
  }

  /// The key of `slot` in a pool of `pages` pages.
  func wholeKey(_ pool: UnsafeRawBufferPointer, slot: Int, head: Int, pages: Int) -> WholeToken {
    let keys = UnsafeRawBufferPointer(
      rebasing: pool[keysOffset(slot: slot, head: head, pages: pages)...])
    let token = slot % Self.pageTokens
    return WholeToken(
      scale: Self.scale(keys, token), codes: (0..<headWidth).map { keyCode(keys, token, $0) })
  }

  /// The value of `slot` in a pool of `pages` pages.
  func wholeValue(_ pool: UnsafeRawBufferPointer, slot: Int, head: Int, pages: Int) -> WholeToken {
    let values = UnsafeRawBufferPointer(
      rebasing: pool[(keysOffset(slot: slot, head: head, pages: pages) + keysBytes)...])
    let token = slot % Self.pageTokens
    return WholeToken(
      scale: Self.scale(values, token), codes: (0..<headWidth).map { valueCode(values, token, $0) })
  }

  private static func scale(_ half: UnsafeRawBufferPointer, _ token: Int) -> Float {
    Element.f32.load(half, token)
  }

  private func keyCode(_ keys: UnsafeRawBufferPointer, _ token: Int, _ d: Int) -> Int32 {
    Int32(keys.load(fromByteOffset: wholeKeyOffset(token, d), as: Int16.self))
  }

  private func valueCode(_ values: UnsafeRawBufferPointer, _ token: Int, _ d: Int) -> Int32 {
    Int32(values.load(fromByteOffset: wholeValueOffset(token, d), as: Int16.self))
  }

  private func wholeKeyOffset(_ token: Int, _ d: Int) -> Int {
    scaleBytes + ((d / 2 * Self.pageTokens + token) * 2 + d % 2) * 2
  }

  private func wholeValueOffset(_ token: Int, _ d: Int) -> Int {
    scaleBytes + ((token / 2 * headWidth + d) * 2 + token % 2) * 2
  }

  /// Byte offset of the keys of the page of `slot`; its values lie behind them.
  private func keysOffset(slot: Int, head: Int, pages: Int) -> Int {
    (head * pages + slot / Self.pageTokens) * headBytes
  }

  private func keyPlace(token: Int, _ d: Int) -> Place {
    let parts = 8 / element.keyBits
    return (keyScaleBytes + d / parts * Self.pageTokens + token, d % parts * element.keyBits)
  }

  private func valuePlace(token: Int, _ d: Int) -> Place {
    let (block, i) = d.quotientAndRemainder(dividingBy: Self.blockLength)
    let bytes = Self.blockLength / 8 * element.valueBits
    let first = scaleBytes + (token * (headWidth / Self.blockLength) + block) * bytes
    return (first + i % bytes, i / bytes * element.valueBits)
  }

  private func code(_ half: UnsafeRawBufferPointer, _ place: Place, bits: Int) -> Int {
    let code = Int(half[place.byte] >> place.shift) & (1 << bits - 1)
    return switch bits {
    case 8: Int(Int8(truncatingIfNeeded: code))
    case 4: code - 8
    default: 2 * code - 3
    }
  }

  private func store(
    _ code: Int, _ half: UnsafeMutableRawBufferPointer, _ place: Place, bits: Int
  ) {
    let code =
      switch bits {
      case 8: code
      case 4: code + 8
      default: (code + 3) / 2
      }
    let mask = (1 << bits - 1) << place.shift
    let byte = Int(half[place.byte]) & ~mask | code << place.shift & mask
    half[place.byte] = UInt8(byte)
  }
}

/// Stores each row's key and value at its slot.
func writeKV(
  _ layout: KVLayout, keys: Matrix<Float>, values: Matrix<Float>, slots: Matrix<Int32>,
  into pool: UnsafeMutableRawBufferPointer, pages: Int
) {
  for row in 0..<keys.rows {
    let slot = Int(slots[row][0])
    guard slot >= 0 else { continue }
    for head in 0..<layout.headCount {
      let columns = head * layout.headWidth..<(head + 1) * layout.headWidth
      layout.store(
        key: columns.map { keys[row][$0] }, value: columns.map { values[row][$0] }, pool,
        slot: slot, head: head, pages: pages)
    }
  }
}

/// Stores the key and the value that each row finds in the pool of the latest tokens; where those of a page are
/// quantised together, by the last row of a step that has a token of it.
func copyKV(
  _ layout: KVLayout, sources: Matrix<Int32>, slots: Matrix<Int32>,
  pool: UnsafeRawBufferPointer, pages: Int, into copies: UnsafeMutableRawBufferPointer,
  targetPages: Int
) {
  let source = layout.latest
  for row in 0..<slots.rows {
    let (from, slot) = (Int(sources[row][0]), Int(slots[row][0]))
    guard from >= 0, slot >= 0 else { continue }
    let next = row + 1 < slots.rows && sources[row + 1][0] >= 0 ? Int(slots[row + 1][0]) : -1
    let isLast = next != slot + 1 || next % KVLayout.pageTokens == 0
    let elements = 0..<layout.headWidth
    for head in 0..<layout.headCount {
      func key(_ token: Int) -> [Float] {
        elements.map { source.key(pool, slot: token, head: head, $0, pages: pages) }
      }
      let value = elements.map { source.value(pool, slot: from, head: head, $0, pages: pages) }
      guard layout.element.keysByElement else {
        layout.store(
          key: key(from), value: value, copies, slot: slot, head: head, pages: targetPages)
        continue
      }
      layout.store(value: value, copies, slot: slot, head: head, pages: targetPages)
      guard isLast else { continue }
      layout.store(
        keys: (from - from % KVLayout.pageTokens...from).map { key($0) }, copies,
        page: slot / KVLayout.pageTokens, head: head, pages: targetPages)
    }
  }
}
