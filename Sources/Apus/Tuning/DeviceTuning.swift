import Devices
import OpSuite
import OpenCLBackend

/// Kernels by what is fastest on a device, found out there.
///
/// ``tune(_:options:until:progress:each:)`` tries the variants and parameters of kernels, and keeps what it
/// finds in the user's configuration folder. Models that are loaded later take it; nobody's results change.
public enum DeviceTuning {
  /// What is looked for, and for how long.
  public struct Options: Sendable {
    /// Only operations whose name, type or shape contains this.
    public var filter = ""
    /// How long to look.
    public var budget = Duration.seconds(60)
    /// Compute units of an OpenCL CPU device, or nil for all.
    public var threads: Int?
    /// Whether the result is kept.
    public var isKept = true

    /// The defaults.
    public init() {}
  }

  /// What was found for an operation.
  public struct Row: Sendable {
    /// Operation and element type.
    public var operation: String
    /// `one`: a token at a time; `many`: prompts.
    public var rows: String
    /// The kernel that is taken without a tuning.
    public var standard: String
    /// The fastest.
    public var best: String
    /// Whether that is another one.
    public var isTuned: Bool
    /// How much faster it is.
    public var gain: Double
    /// Seconds of the first case, without and with it.
    public var seconds: (standard: Double, best: Double)
    /// Ways that were measured beside the usual one.
    public var measured: Int
    /// Ways that compute wrongly or that the driver refuses, and why.
    public var refused: [String]
  }

  /// What came of it.
  public struct Report: Sendable {
    /// The device.
    public var device: DeviceDescription
    /// By operation.
    public var rows: [Row]
    /// Operations that the budget did not reach.
    public var unreached: [String]
    /// The file that was written, or nil.
    public var path: String?
    /// How long it took.
    public var elapsed: Duration
    /// What is wrong with the file that was there before.
    public var complaint: String?
  }

  /// Finds out what is fastest on an OpenCL device. Everything is compared with the reference before it is
  /// measured.
  ///
  /// What was found before is kept for operations that this run does not reach, and those come first that
  /// no run has reached yet.
  ///
  /// - Parameters:
  ///   - name: The device, as ``DeviceInventory/list()`` names it.
  ///   - options: What to look for.
  ///   - isCancelled: Asked often; what was found until then is kept.
  ///   - progress: Gets a line before each operation.
  ///   - body: Gets each row as it is known.
  /// - Returns: What was found, and where it is kept.
  /// - Throws: ``ApusError`` where the device cannot be opened or has nothing to choose, or where the result
  ///   cannot be kept.
  public static func tune(
    _ name: String, options: Options = Options(),
    until isCancelled: @escaping () -> Bool = { false },
    progress: (String) -> Void = { _ in }, each body: (Row) -> Void = { _ in }
  ) async throws(ApusError) -> Report {
    try tune(
      name, options, store: .ofUser, until: isCancelled, progress: progress, each: body)
  }

  package static func tune(
    _ name: String, _ options: Options, store: TuningStore,
    until isCancelled: @escaping () -> Bool = { false },
    progress: (String) -> Void = { _ in }, each body: (Row) -> Void = { _ in }
  ) throws(ApusError) -> Report {
    guard case .opencl(let index) = DeviceChoice(name) else {
      throw ApusError(
        .request,
        "\(name) has nothing to choose: it takes the highest instruction set of the processor, whose "
          + "tiles are fixed when Apus is built; name an OpenCL device ('apus devices' lists them)")
    }
    let begin = HostClock.now()
    let budget = Double(options.budget.components.seconds)
    let device: OpenCLDevice
    do throws(DeviceError) {
      device = try OpenCLDevice(index: index, threads: options.threads)
    } catch { throw ApusError(error) }
    let subject = TuningStore.Subject(device)
    let before = store.find(subject)
    let known = before.isUsers ? before.file?.entries.filter(\.isCurrent) ?? [] : []
    var groups = OpSuite.tuningGroups.filter { $0.contains(options.filter) }
    if groups.isEmpty {
      throw ApusError(
        .request,
        "no operation contains '\(options.filter)'; try a type such as Q4_0, 'attend' or 'ffn_up'")
    }
    let old = groups.filter { group in known.contains { group.isAbout($0) } }
    groups.removeAll { group in known.contains { group.isAbout($0) } }
    groups += old

    var report = Report(
      device: DeviceDescription(device.traits), rows: [], unreached: [], path: nil,
      elapsed: .zero, complaint: before.complaint)
    var entries = known
    var tuner = Tuner()
    tuner.deadline = Double(begin) * 1e-9 + budget
    for group in groups {
      guard !isCancelled(), Double(HostClock.now()) * 1e-9 < tuner.deadline else {
        report.unreached.append(group.title)
        continue
      }
      progress(group.title)
      do throws(DeviceError) {
        guard let result = try search(group, on: device, tuner, until: isCancelled) else {
          continue
        }
        guard result.finding.isComplete else {
          report.unreached.append(group.title)
          continue
        }
        entries.removeAll { group.isAbout($0) }
        if let entry = result.entry { entries.append(entry) }
        report.rows.append(result.row)
        body(result.row)
      } catch {
        // A device that fails at one operation may do well at others.
        let row = Row(
          operation: group.key.description, rows: group.rows.rawValue, standard: "", best: "",
          isTuned: false, gain: 1, seconds: (0, 0), measured: 0, refused: ["\(error)"])
        report.rows.append(row)
        body(row)
      }
    }
    if options.isKept, !report.rows.isEmpty {
      let words = options.filter.isEmpty ? "" : " --ops '\(options.filter)'"
      let file = TuningFile(
        hardware: subject.hardware, driver: subject.driver,
        made: "\(HostClock.today()) by apus tune\(words), \(device.traits.units) compute units",
        entries: entries)
      report.path = try store.write(file, for: subject)
    }
    report.elapsed = .nanoseconds(HostClock.now() - begin)
    return report
  }

  /// What a search in one group gave.
  private struct Result {
    var finding: Tuner.Finding
    var row: Row
    var entry: TuningFile.Entry?
  }

  private static func search(
    _ group: TuningGroup, on device: OpenCLDevice, _ tuner: Tuner,
    until isCancelled: @escaping () -> Bool
  ) throws(DeviceError) -> Result? {
    let test = group.cases[0]
    let variants = device.variants(
      of: test.operation, input: test.inputFormat, rows: group.rows)
    guard let standard = variants.first,
      let bench = try DeviceBench(group, on: device, until: isCancelled)
    else { return nil }
    defer { bench.release() }
    let operation = group.key.description
    guard var finding = try tuner.search(operation, group.rows, among: variants, on: bench)
    else { return nil }
    let usual = Tuning.Choice(operation: operation, rows: group.rows, variant: standard.name)
    if finding.best != usual, let reason = bench.failureOfFollowers(of: finding.best) {
      finding.refused.append((finding.best, reason))
      (finding.best, finding.gain) = (usual, 1)
      finding.seconds.best = finding.seconds.standard
    }
    var bare = finding.best
    bare.settings = []
    let row = Row(
      operation: operation, rows: group.rows.rawValue, standard: standard.name,
      best: finding.best.words, isTuned: finding.best != usual, gain: finding.gain,
      seconds: finding.seconds, measured: finding.measured,
      refused: finding.refused.map { "\($0.choice.words): \($0.reason)" })
    return Result(
      finding: finding, row: row,
      entry: KernelTable.row(of: bare).map {
        TuningFile.Entry(
          finding.best, isStandard: finding.best == usual,
          fingerprint: KernelTable.fingerprint($0), gain: finding.gain)
      })
  }

  /// Removes what was found.
  ///
  /// - Parameter name: The device, or nil for all, those included that are no longer there.
  /// - Returns: How many files that were.
  /// - Throws: ``ApusError`` where there is no such device, or a file cannot be removed.
  public static func forget(_ name: String?) throws(ApusError) -> Int {
    guard let name else { return try TuningStore.ofUser.forget(nil) }
    guard case .opencl(let index) = DeviceChoice(name) else { return 0 }
    let devices = OpenCLDevices.list().devices
    guard let device = devices.first(where: { $0.index == index }) else {
      throw ApusError(.device, "there is no device \(name); 'apus devices' lists them")
    }
    return try TuningStore.ofUser.forget(.init(device))
  }

  /// What is known of a device.
  public struct State: Sendable {
    /// Choices that differ from what is built in.
    public var choices: Int
    /// Operations that were looked at.
    public var operations: Int
    /// Lines about kernels that are others by now, which count for nothing.
    public var outdated: Int
    /// The file, or its name among those that come with Apus.
    public var source: String
    /// Whether it is the user's own.
    public var isUsers: Bool
    /// When and by what it was made.
    public var made: String
  }

  /// What is known of a device; nil for one of which nothing is known, and a sentence where a file cannot
  /// be used.
  public static func state(of name: String) -> (state: State?, complaint: String?) {
    guard case .opencl(let index) = DeviceChoice(name),
      let device = OpenCLDevices.list().devices.first(where: { $0.index == index })
    else { return (nil, nil) }
    let found = TuningStore.ofUser.find(.init(device))
    guard let file = found.file, let source = found.source else { return (nil, found.complaint) }
    return (
      State(
        choices: found.tuning.choices.count, operations: file.entries.count,
        outdated: found.outdated, source: source, isUsers: found.isUsers, made: file.made),
      found.complaint
    )
  }
}

extension TuningStore.Subject {
  fileprivate init(_ device: OpenCLDevices.Description) {
    self.init(
      hardware: device.name, driver: "\(device.platform) \(device.driver)",
      identity: OpenCLDevices.identity(of: device))
  }
}

extension TuningGroup {
  fileprivate var rows: Tuning.Rows { isForMany ? .many : .one }
  fileprivate var title: String { "\(key), \(isForMany ? "many rows" : "one row")" }

  fileprivate func contains(_ filter: String) -> Bool {
    let texts = ["\(key)"] + cases.map(\.title)
    return filter.isEmpty
      || texts.contains { $0.lowercased().contains(filter.lowercased()) }
  }

  fileprivate func isAbout(_ entry: TuningFile.Entry) -> Bool {
    entry.choice.operation == key.description && entry.choice.rows == rows
  }
}

extension TuningFile.Entry {
  /// Whether it is about a kernel of this build.
  fileprivate var isCurrent: Bool {
    var bare = choice
    bare.settings = []
    return KernelTable.row(of: bare).map(KernelTable.fingerprint) == fingerprint
  }
}

extension Tuning.Choice {
  /// Variant and settings, for people.
  fileprivate var words: String {
    ([variant] + settings.map(\.description)).joined(separator: " ")
  }
}
