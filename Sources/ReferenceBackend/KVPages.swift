package import Devices
import Tensors

extension KVLayout.Element {
  /// Element `index` of numbers that are kept as floats.
  package func load(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Float {
    switch self {
    case .f32: bytes.load(fromByteOffset: index * 4, as: Float.self)
    case .f16: Float(bytes.load(fromByteOffset: index * 2, as: Float16.self))
    case .bf16: BF16.number(bytes.load(fromByteOffset: index * 2, as: UInt16.self))
    case .q8, .q4: preconditionFailure("codes are read with their scales")
    }
  }

  /// Stores it as the nearest number that the element holds.
  package func store(_ value: Float, _ bytes: UnsafeMutableRawBufferPointer, _ index: Int) {
    switch self {
    case .f32: bytes.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
    case .f16: bytes.storeBytes(of: Float16(value), toByteOffset: index * 2, as: Float16.self)
    case .bf16: bytes.storeBytes(of: BF16.bits(value), toByteOffset: index * 2, as: UInt16.self)
    case .q8, .q4: preconditionFailure("codes are written with their scales")
    }
  }
}

extension KVLayout {
  /// Element `d` of the key of `slot` in a pool of `pages` pages.
  package func key(
    _ pool: UnsafeRawBufferPointer, slot: Int, head: Int, _ d: Int, pages: Int
  ) -> Float {
    let half = UnsafeRawBufferPointer(
      rebasing: pool[halfOffset(slot: slot, head: head, isValue: false, pages: pages)...])
    let token = slot % Self.pageTokens
    guard let bits = element.codeBits else {
      return element.load(half, d * Self.pageTokens + token)
    }
    let scale = scale(half, d / Self.blockLength * Self.pageTokens + token)
    return scale * Float(code(half, keyCode(token: token, d), bits: bits, isHigh: d % 2 == 1))
  }

  /// Element `d` of the value of `slot` in a pool of `pages` pages.
  package func value(
    _ pool: UnsafeRawBufferPointer, slot: Int, head: Int, _ d: Int, pages: Int
  ) -> Float {
    let half = UnsafeRawBufferPointer(
      rebasing: pool[halfOffset(slot: slot, head: head, isValue: true, pages: pages)...])
    let token = slot % Self.pageTokens
    guard let bits = element.codeBits else { return element.load(half, token * headWidth + d) }
    let scale = scale(half, token * (headWidth / Self.blockLength) + d / Self.blockLength)
    return scale
      * Float(
        code(half, valueCode(token: token, d), bits: bits, isHigh: d % Self.blockLength >= 16))
  }

  /// Stores the key and the value of `slot`, of one head.
  package func store(
    key: [Float], value: [Float], _ pool: UnsafeMutableRawBufferPointer, slot: Int, head: Int,
    pages: Int
  ) {
    let token = slot % Self.pageTokens
    let keys = UnsafeMutableRawBufferPointer(
      rebasing: pool[halfOffset(slot: slot, head: head, isValue: false, pages: pages)...])
    let values = UnsafeMutableRawBufferPointer(
      rebasing: pool[halfOffset(slot: slot, head: head, isValue: true, pages: pages)...])
    guard let bits = element.codeBits else {
      for d in 0..<headWidth {
        element.store(key[d], keys, d * Self.pageTokens + token)
        element.store(value[d], values, token * headWidth + d)
      }
      return
    }
    let blocks = headWidth / Self.blockLength
    for index in 0..<blocks {
      let first = index * Self.blockLength
      let range = first..<first + Self.blockLength
      let (ofKey, ofValue) = (
        KVBlock(Array(key[range]), bits: bits), KVBlock(Array(value[range]), bits: bits)
      )
      KVLayout.Element.f16.store(Float(ofKey.scale), keys, index * Self.pageTokens + token)
      KVLayout.Element.f16.store(Float(ofValue.scale), values, token * blocks + index)
      for i in 0..<Self.blockLength {
        let d = first + i
        store(
          ofKey.codes[i], keys, keyCode(token: token, d), bits: bits, isHigh: d % 2 == 1)
        store(
          ofValue.codes[i], values, valueCode(token: token, d), bits: bits, isHigh: i >= 16)
      }
    }
  }

  /// Byte offset of the keys, or of the values, of the page of `slot`.
  private func halfOffset(slot: Int, head: Int, isValue: Bool, pages: Int) -> Int {
    ((head * pages + slot / Self.pageTokens) * 2 + (isValue ? 1 : 0)) * halfBytes
  }

  /// The byte, behind the scales, that has a code.
  private func keyCode(token: Int, _ d: Int) -> Int {
    (element == .q4 ? d / 2 : d) * Self.pageTokens + token
  }

  private func valueCode(token: Int, _ d: Int) -> Int {
    guard element == .q4 else { return token * headWidth + d }
    return (token * headWidth + d / Self.blockLength * Self.blockLength) / 2 + d % 16
  }

  /// Bytes of the scales of half a page.
  private var scaleBytes: Int { halfBlock / Self.blockLength * 2 }

  private func scale(_ half: UnsafeRawBufferPointer, _ index: Int) -> Float {
    KVLayout.Element.f16.load(half, index)
  }

  private func code(
    _ half: UnsafeRawBufferPointer, _ place: Int, bits: Int, isHigh: Bool
  ) -> Int {
    let byte = half[scaleBytes + place]
    if bits == 8 { return Int(Int8(bitPattern: byte)) }
    return Int(isHigh ? byte >> 4 : byte & 15) - 8
  }

  private func store(
    _ code: Int, _ half: UnsafeMutableRawBufferPointer, _ place: Int, bits: Int, isHigh: Bool
  ) {
    let place = scaleBytes + place
    if bits == 8 {
      half[place] = UInt8(bitPattern: Int8(code))
    } else {
      let nibble = UInt8(code + 8)
      half[place] = isHigh ? half[place] & 15 | nibble << 4 : half[place] & 0xF0 | nibble
    }
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

/// Stores the key and the value that each row finds in the pool of the latest tokens.
func copyKV(
  _ layout: KVLayout, sources: Matrix<Int32>, slots: Matrix<Int32>,
  pool: UnsafeRawBufferPointer, pages: Int, into copies: UnsafeMutableRawBufferPointer,
  targetPages: Int
) {
  let source = layout.latest
  for row in 0..<slots.rows {
    let (from, slot) = (Int(sources[row][0]), Int(slots[row][0]))
    guard from >= 0, slot >= 0 else { continue }
    for head in 0..<layout.headCount {
      let elements = 0..<layout.headWidth
      layout.store(
        key: elements.map { source.key(pool, slot: from, head: head, $0, pages: pages) },
        value: elements.map { source.value(pool, slot: from, head: head, $0, pages: pages) },
        copies, slot: slot, head: head, pages: targetPages)
    }
  }
}
