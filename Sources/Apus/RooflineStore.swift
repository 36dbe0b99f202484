package import Devices
package import DiskCache

/// What devices reach at best, kept among what Apus keeps on disk, for each device, driver and number of
/// threads.
package struct RooflineStore {
  private let cache: DiskCache?

  /// That of this user.
  static var ofUser: RooflineStore { RooflineStore(try? ProgramStore.shared.get()) }

  /// A store in a cache, or one that keeps nothing.
  package init(_ cache: DiskCache?) { self.cache = cache }

  /// What was kept for a device, or nil.
  package subscript(_ traits: DeviceTraits) -> Roofline? {
    guard let text = cache?.load(Self.key(traits)) else { return nil }
    let numbers = String(decoding: text, as: UTF8.self).split(separator: " ").compactMap {
      Double($0)
    }
    guard numbers.count == 3, numbers.allSatisfy({ $0 > 0 && $0 < 1e20 }) else { return nil }
    return Roofline(bandwidth: numbers[0], floatRate: numbers[1], integerRate: numbers[2])
  }

  /// Keeps what was measured; whether that could be done.
  package func keep(_ roofline: Roofline, for traits: DeviceTraits) -> Bool {
    guard let cache else { return false }
    let text = "\(roofline.bandwidth) \(roofline.floatRate) \(roofline.integerRate)"
    cache.store(
      Array(text.utf8), under: Self.key(traits),
      label: "roofline with \(traits.units) threads\n\(traits.hardware)\n\(traits.driver)")
    return cache.complaint == nil
  }

  /// Another way of measuring takes another number.
  private static func key(_ traits: DeviceTraits) -> CacheKey {
    CacheKey(["roofline 2", traits.hardware, traits.driver, "\(traits.units)"])
  }
}

extension DeviceInventory {
  /// What a device reaches at best.
  public struct Limits: Sendable {
    /// Threads or compute units that were in use.
    public var units: Int
    /// Bytes a second, read from memory in order.
    public var bandwidth: Double
    /// Multiplications and additions of single-precision floats a second.
    public var floatRate: Double
    /// Multiplications and additions of signed bytes a second.
    public var integerRate: Double
    /// Whether it could be kept for the next time.
    public var isKept: Bool
  }

  /// Measures what a device reaches at best, and keeps it for profiles.
  ///
  /// - Parameters:
  ///   - name: The device, as ``list()`` names it.
  ///   - threads: Threads of a CPU, or nil for all.
  /// - Returns: The limits, or nil for a device of which they say nothing or that has no threads.
  /// - Throws: ``ApusError`` where the device cannot be opened or has no room.
  public static func measureLimits(
    _ name: String, threads: Int? = nil
  ) async throws(ApusError) -> Limits? {
    do throws(DeviceError) {
      let device = try open(name, threads: threads)
      guard threads == nil || threads == device.traits.units,
        let roofline = try device.measureRoofline()
      else { return nil }
      let isKept = RooflineStore.ofUser.keep(roofline, for: device.traits)
      return Limits(
        units: device.traits.units, bandwidth: roofline.bandwidth, floatRate: roofline.floatRate,
        integerRate: roofline.integerRate, isKept: isKept)
    } catch { throw ApusError(error) }
  }

  /// What is known of a device that is in use, measured now where it was not before; nil where it cannot
  /// be.
  static func roofline(of traits: DeviceTraits) -> Roofline? {
    if let known = RooflineStore.ofUser[traits] { return known }
    do throws(DeviceError) {
      let device = try open(traits.name, threads: traits.units)
      guard device.traits.units == traits.units else { return nil }
      let roofline = try device.measureRoofline()
      if let roofline { _ = RooflineStore.ofUser.keep(roofline, for: traits) }
      return roofline
    } catch { return nil }
  }
}
