/// What a device reaches at best, as measured on it.
package struct Roofline: Sendable, Hashable {
  /// Bytes a second, read from memory in order.
  package var bandwidth: Double
  /// Multiplications and additions of single-precision floats a second.
  package var floatRate: Double
  /// Multiplications and additions of signed bytes a second, added up in 32 bits.
  package var integerRate: Double

  package init(bandwidth: Double, floatRate: Double, integerRate: Double) {
    self.bandwidth = bandwidth
    self.floatRate = floatRate
    self.integerRate = integerRate
  }

  /// Seconds below which no kernel that reads its operands from memory can do the work.
  package func seconds(_ work: Work) -> Double {
    max(
      Double(work.bytes) / bandwidth,
      Double(work.flops) / (work.isInteger ? integerRate : floatRate))
  }
}

extension Roofline {
  /// How often a second a device does `work`, in the fastest of several rounds: what slows the others
  /// down is somebody else.
  package static func rate<Failure: Error>(
    of work: Int, _ round: () throws(Failure) -> Void
  ) throws(Failure) -> Double {
    try round()
    let start = HostClock.now()
    var best = Int64.max
    var rounds = 0
    while rounds < 3 || HostClock.now() - start < 400_000_000 {
      let before = HostClock.now()
      try round()
      best = min(best, HostClock.now() - before)
      rounds += 1
    }
    return Double(work) * 1e9 / Double(max(best, 1))
  }

  /// Bytes to read from, so that a cache of this size helps little.
  package static func bytes(beyondCache cache: Int) -> Int {
    min(max(4 * cache, 1 << 28), 1 << 30)
  }
}
