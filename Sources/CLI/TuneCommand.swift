import Apus
import ArgumentParser

/// `apus tune`: finds out which kernels are fastest on a device.
struct TuneCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune", abstract: "Find out which kernels are fastest on a device.",
    discussion: """
      Tries the variants of each kernel and the values of its parameters, at sizes of known models: one \
      row, as when tokens are generated, and many rows, as in prompts. Each way is compared with the \
      reference before it is timed, and timed in turns with the best so far; it takes that one's place \
      where it is at least 3 % faster, twice. Results stay the same to the last bit.

      What is found lies in the folder 'tuned' of $XDG_CONFIG_HOME/apus, else of ~/.config/apus, a small \
      text for each device and driver, and is used from then on by every command (--no-tuning does \
      without). Where the budget ends early, the next run goes on with what is left. Without a file of \
      one's own, one that comes with Apus is taken where it knows the device.

      The device should have nothing else to do meanwhile.

      Examples:
        apus tune
        apus tune --ops Q4_K --budget 30s --dry-run
        apus tune --device opencl:1 --budget 5m --json
        apus tune --forget
      """)

  @Option(help: "An OpenCL device: opencl:N (default: the first; see 'apus devices').")
  var device: DeviceChoice?

  @Option(help: "Only operations whose name, type or shape contains this: Q4_K, attend, ffn_up.")
  var ops = ""

  @Option(
    help: ArgumentHelp("How long to look: 60s, 5m.", valueName: "time"),
    transform: { text in
      guard let seconds = TuneCommand.seconds(text) else {
        throw ValidationError("--budget takes 1s to 24h, such as 60s or 5m, not '\(text)'")
      }
      return seconds
    })
  var budget = 60

  @Option(name: .shortAndLong, help: "Compute units of a CPU device to use (default: all).")
  var threads: Int?

  @Flag(help: "Keep nothing of it.")
  var dryRun = false

  @Flag(help: "Remove what was found, for --device or for all devices.")
  var forget = false

  @OptionGroup var output: OutputArguments

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be 1 or more") }
    if device == .auto { throw ValidationError("--device auto names no single device here") }
    if forget && (dryRun || !ops.isEmpty) {
      throw ValidationError("--forget goes with --device only")
    }
  }

  /// Seconds of a text such as `90`, `60s`, `5m` or `1h`.
  static func seconds(_ text: String) -> Int? {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
    let unit = text.last.flatMap { units[$0] }
    guard let number = Int(unit == nil ? text[...] : text.dropLast()), number > 0 else {
      return nil
    }
    let (seconds, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
    return overflow || seconds > 86_400 ? nil : seconds
  }

  func run() async throws {
    if forget {
      let count = try DeviceTuning.forget(device?.description)
      if output.json { return try printJSON(["removed": count]) }
      return Terminal.write("removed \(count) tuned files\n")
    }
    Interrupt.install()
    var options = DeviceTuning.Options()
    options.filter = ops
    options.budget = .seconds(budget)
    options.threads = threads
    options.isKept = !dryRun
    let report = try await DeviceTuning.tune(
      try name(), options: options, until: { Interrupt.isRaised },
      progress: { Terminal.progress("tuning \($0) …") },
      each: { row in
        for reason in row.refused { note("\(row.operation), \(row.rows) rows: left out \(reason)") }
      })
    Terminal.progress("")
    if let complaint = report.complaint { Terminal.note("apus: \(complaint)") }
    if output.json { return try printJSON(TuneReport(report)) }
    show(report)
  }

  /// The device, or the first OpenCL device.
  private func name() throws(ApusError) -> String {
    if let device { return device.description }
    let listing = DeviceInventory.list()
    guard let first = listing.devices.first(where: { $0.name.hasPrefix("opencl") }) else {
      throw ApusError(
        .device, "there is no OpenCL device to tune\(listing.reason.map { ": \($0)" } ?? "")")
    }
    return first.name
  }

  private func note(_ line: String) {
    Terminal.progress("")
    Terminal.note("apus: \(line)")
  }

  private func show(_ report: DeviceTuning.Report) {
    Terminal.write(
      "\(report.device.name): \(report.device.hardware), \(report.device.driver)\n\n"
        + table(
          ["operation", "rows", "as built", "best", "µs before", "µs after", "gain", "tried"],
          report.rows.map { row in
            [
              row.operation, row.rows, row.standard, row.isTuned ? row.best : "as built",
              tenths(row.seconds.standard * 1e6), tenths(row.seconds.best * 1e6),
              "\(decimals(row.gain, 2))×", "\(row.measured)",
            ]
          }) + "\n")
    let tuned = report.rows.filter(\.isTuned).count
    Terminal.write(
      "\(tuned) of \(report.rows.count) operations are faster otherwise than as built\n")
    if !report.unreached.isEmpty {
      Terminal.write(
        "\(report.unreached.count) were not reached; run it again, with a larger --budget, or with "
          + "--ops for the types of your model\n")
    }
    Terminal.write(report.path.map { "kept in \($0)\n" } ?? "nothing was kept\n")
  }
}

/// What `apus tune --json` prints.
private struct TuneReport: Encodable {
  struct Row: Encodable {
    var operation: String
    var rows: String
    var standard: String
    var best: String
    var tuned: Bool
    var gain: Double
    var seconds_standard: Double
    var seconds_best: Double
    var measured: Int
    var refused: [String]
  }

  var device: String
  var hardware: String
  var driver: String
  var seconds: Double
  var path: String?
  var operations: [Row]
  var unreached: [String]

  init(_ report: DeviceTuning.Report) {
    device = report.device.name
    hardware = report.device.hardware
    driver = report.device.driver
    seconds = report.elapsed / .seconds(1)
    path = report.path
    unreached = report.unreached
    operations = report.rows.map {
      Row(
        operation: $0.operation, rows: $0.rows, standard: $0.standard, best: $0.best,
        tuned: $0.isTuned, gain: $0.gain, seconds_standard: $0.seconds.standard,
        seconds_best: $0.seconds.best, measured: $0.measured, refused: $0.refused)
    }
  }
}
