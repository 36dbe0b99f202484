package import Devices

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What devices reach at best, kept in the user's cache folder, a file for each device, driver and
/// number of threads. A file that is not as it was written is not there.
package struct RooflineStore {
  private let folder: String

  /// The folder `roofline` in `$APUS_CACHE`, or in `apus` in the user's cache folder; nil where there is
  /// neither that nor a home.
  static var ofUser: RooflineStore? {
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    let cache =
      variable("APUS_CACHE") ?? variable("XDG_CACHE_HOME").map { "\($0)/apus" }
      ?? variable("HOME").map { "\($0)/.cache/apus" }
    return cache.map { RooflineStore(folder: "\($0)/roofline") }
  }

  package init(folder: String) { self.folder = folder }

  /// What was kept for a device, or nil.
  package subscript(_ traits: DeviceTraits) -> Roofline? {
    guard let text = read(path(traits)) else { return nil }
    let head = Self.head(traits)
    guard text.hasPrefix(head) else { return nil }
    let numbers = text.dropFirst(head.count).split(separator: "\n").prefix(3).compactMap {
      $0.split(separator: " ").last.flatMap { Double($0) }
    }
    guard numbers.count == 3, numbers.allSatisfy({ $0 > 0 && $0 < 1e20 }) else { return nil }
    let roofline = Roofline(
      bandwidth: numbers[0], floatRate: numbers[1], integerRate: numbers[2])
    return text == Self.text(traits, roofline) ? roofline : nil
  }

  /// Keeps what was measured; whether that could be done.
  package func keep(_ roofline: Roofline, for traits: DeviceTraits) -> Bool {
    for end in folder.indices.dropFirst() where folder[end] == "/" {
      mkdir(String(folder[..<end]), 0o700)
    }
    mkdir(folder, 0o700)
    let draft = "\(path(traits)).\(getpid()).part"
    let file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { return false }
    let text = Array(Self.text(traits, roofline).utf8)
    let isWhole = write(file, text, text.count) == text.count
    guard close(file) == 0, isWhole, rename(draft, path(traits)) == 0 else {
      unlink(draft)
      return false
    }
    return true
  }

  private func path(_ traits: DeviceTraits) -> String {
    "\(folder)/\(Self.hash(Self.head(traits))).txt"
  }

  /// The text of a small file that belongs to this user, or nil.
  private func read(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var state = stat()
    guard fstat(file, &state) == 0, state.st_uid == geteuid(), state.st_mode & S_IFMT == S_IFREG
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: 4096)
    #if canImport(Glibc)
      let count = Glibc.read(file, &bytes, bytes.count)
    #elseif canImport(Musl)
      let count = Musl.read(file, &bytes, bytes.count)
    #else
      let count = Darwin.read(file, &bytes, bytes.count)
    #endif
    return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
  }

  private static func head(_ traits: DeviceTraits) -> String {
    "apus roofline 1\n\(traits.hardware)\n\(traits.driver)\nunits \(traits.units)\n"
  }

  private static func text(_ traits: DeviceTraits, _ roofline: Roofline) -> String {
    let body =
      head(traits) + "bytes/s \(roofline.bandwidth)\nf32/s \(roofline.floatRate)\n"
      + "int8/s \(roofline.integerRate)\n"
    return body + hash(body) + "\n"
  }

  /// FNV-1a: it finds damage, and is no defence against whoever may write to the user's files.
  private static func hash(_ text: String) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return String(hash, radix: 16)
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
      let isKept = RooflineStore.ofUser?.keep(roofline, for: device.traits) ?? false
      return Limits(
        units: device.traits.units, bandwidth: roofline.bandwidth, floatRate: roofline.floatRate,
        integerRate: roofline.integerRate, isKept: isKept)
    } catch { throw ApusError(error) }
  }

  /// What is known of a device that is in use, measured now where it was not before; nil where it cannot
  /// be.
  static func roofline(of traits: DeviceTraits) -> Roofline? {
    if let known = RooflineStore.ofUser?[traits] { return known }
    do throws(DeviceError) {
      let device = try open(traits.name, threads: traits.units)
      guard device.traits.units == traits.units else { return nil }
      let roofline = try device.measureRoofline()
      if let roofline { _ = RooflineStore.ofUser?.keep(roofline, for: traits) }
      return roofline
    } catch { return nil }
  }
}
