/// The SHA-256 of bytes in hexadecimal (FIPS 180-4): how a fixture names a text that is not ours to copy.
package func sha256(_ bytes: [UInt8]) -> String {
  var state: [UInt32] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab,
    0x5be0_cd19,
  ]
  var padded = bytes + [0x80]
  while padded.count % 64 != 56 { padded.append(0) }
  for shift in stride(from: 56, through: 0, by: -8) {
    padded.append(UInt8(truncatingIfNeeded: (bytes.count << 3) >> shift))
  }
  for block in stride(from: 0, to: padded.count, by: 64) {
    var words = (0..<16).map { word in
      (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(padded[block + 4 * word + $1]) }
    }
    for i in 16..<64 {
      let (a, b) = (words[i - 15], words[i - 2])
      let s0 = rotated(a, 7) ^ rotated(a, 18) ^ a >> 3
      let s1 = rotated(b, 17) ^ rotated(b, 19) ^ b >> 10
      words.append(words[i - 16] &+ s0 &+ words[i - 7] &+ s1)
    }
    var v = state
    for i in 0..<64 {
      let s1 = rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25)
      let choice = v[4] & v[5] ^ ~v[4] & v[6]
      let t1 = v[7] &+ s1 &+ choice &+ roundConstants[i] &+ words[i]
      let s0 = rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22)
      let majority = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]
      v = [t1 &+ s0 &+ majority, v[0], v[1], v[2], v[3] &+ t1, v[4], v[5], v[6]]
    }
    for i in 0..<8 { state[i] &+= v[i] }
  }
  return state.map { word in
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }.joined()
}

private func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 {
  word >> count | word << (32 - count)
}

/// The first 32 bits of the fractions of the cube roots of the first 64 primes.
private let roundConstants: [UInt32] = {
  var primes: [Double] = []
  var candidate = 2
  while primes.count < 64 {
    if !primes.contains(where: { candidate % Int($0) == 0 }) { primes.append(Double(candidate)) }
    candidate += 1
  }
  return primes.map { prime in
    // The largest whole cube root of prime × 2^96, by bisection in whole numbers: a root in double
    // precision could be one off.
    var (low, high) = (UInt64(1) << 32, UInt64(8) << 32)
    while high - low > 1 {
      let middle = (low + high) / 2
      let square = middle.multipliedFullWidth(by: middle)
      // middle³ compared with prime × 2^96; middle < 2^35, so the cube has at most 105 bits.
      let lowPart = square.low.multipliedFullWidth(by: middle)
      let top = square.high * middle + lowPart.high
      if top < UInt64(prime) << 32 { low = middle } else { high = middle }
    }
    return UInt32(truncatingIfNeeded: low)
  }
}()
