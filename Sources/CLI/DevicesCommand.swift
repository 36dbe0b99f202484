import Apus
import ArgumentParser

/// `apus devices`: what there is, and whether it computes right.
struct DevicesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "devices", abstract: "List devices, or check that they compute right.",
    discussion: """
      --check runs every operation on every element type and many shapes, compares the results \
      with the reference, and prints a verdict and the worst error for each. A failure makes the \
      exit code 1. Please attach its output to a bug report about a driver.

      --roofline measures what each device reaches at best, with one thread and with all: reading from \
      memory, and arithmetic on floats and on bytes. 'apus profile' compares kernels with it, so it \
      is kept in the user's cache folder.

      Examples:
        apus devices
        apus devices --check --device opencl:1
        apus devices --roofline
      """)

  @Flag(help: "Check every operation against the reference.")
  var check = false

  @Flag(help: "Measure what each device reaches at best.")
  var roofline = false

  @Option(help: "Only this device: cpu, reference, opencl:N.")
  var device: DeviceChoice?

  @Flag(help: "With --check: only the smallest shapes, for interpreters and emulators.")
  var tiny = false

  @OptionGroup var output: OutputArguments

  func validate() throws {
    if tiny && !check { throw ValidationError("--tiny goes with --check") }
    if roofline && check { throw ValidationError("--roofline and --check go one at a time") }
    if device == .auto { throw ValidationError("--device auto names no single device here") }
  }

  func run() async throws {
    let listing = DeviceInventory.list()
    let devices = listing.devices.filter { device == nil || $0.name == device?.description }
    if let device, devices.isEmpty {
      throw ApusError(
        .device,
        "there is no device \(device)"
          + (listing.reason.map { ": \($0)" } ?? "; 'apus devices' lists them"))
    }
    if check { return try await checkAll(devices) }
    if roofline { return try await measureAll(devices) }
    let tunings = devices.map { DeviceTuning.state(of: $0.name) }
    if output.json {
      return try printJSON(zip(devices, tunings).map { DeviceReport($0, $1.state) })
    }
    Terminal.write(
      table(
        ["device", "hardware", "driver", "tuning"],
        zip(devices, tunings).map { device, tuning in
          [device.name, device.hardware, device.driver, tuning.state.map(words) ?? ""]
        }))
    for tuning in tunings {
      if let complaint = tuning.complaint { Terminal.note("apus: \(complaint)") }
    }
    if let reason = listing.reason { Terminal.note("apus: \(reason)") }
  }

  /// What is known of a device: `3 choices, 2026-11-25 by apus tune`.
  private func words(_ state: DeviceTuning.State) -> String {
    let whose = state.isUsers ? state.made : "comes with Apus: \(state.source)"
    let old = state.outdated == 0 ? "" : ", \(state.outdated) outdated ('apus tune' renews them)"
    return "\(state.choices) of \(state.operations) operations (\(whose))\(old)"
  }

  /// Measures each device with one thread and with all.
  private func measureAll(_ devices: [DeviceDescription]) async throws {
    var reports: [LimitsReport] = []
    var isKept = true
    for device in devices {
      Terminal.progress("measuring \(device.name) …")
      guard let whole = try await DeviceInventory.measureLimits(device.name) else { continue }
      var limits = [whole]
      // A device that always uses all it has refuses.
      let one = try? await DeviceInventory.measureLimits(device.name, threads: 1)
      if whole.units > 1, let one { limits.insert(one, at: 0) }
      isKept = isKept && limits.allSatisfy(\.isKept)
      reports += limits.map { LimitsReport(device.name, $0) }
    }
    Terminal.progress("")
    if !isKept { Terminal.note("apus: the cache folder cannot be written to; nothing was kept") }
    if output.json { return try printJSON(reports) }
    Terminal.write(
      table(
        ["device", "threads", "read GB/s", "f32 GFLOP/s", "int8 GOP/s"],
        reports.map {
          [
            $0.device, "\($0.threads)", tenths($0.read_bytes_per_second / 1e9),
            tenths($0.f32_per_second / 1e9), tenths($0.int8_per_second / 1e9),
          ]
        }))
  }

  private func checkAll(_ devices: [DeviceDescription]) async throws {
    let json = output.json
    var reports: [CheckReport] = []
    for device in devices where !Terminal.isGone {
      if !json { Terminal.write("\(device.name): \(device.hardware), \(device.driver)\n\n") }
      let rows = try await DeviceInventory.check(device.name, tinyOnly: tiny)
      if !json {
        Terminal.write(
          table(
            ["operation", "type", "cases", "verdict", "worst error"],
            rows.map {
              [$0.operation, $0.type, "\($0.cases)", $0.verdict.rawValue, "\($0.worstError)"]
            }) + "\n")
        for row in rows {
          if let remark = row.remark { Terminal.write("\(row.operation) \(row.type): \(remark)\n") }
        }
      }
      reports += rows.map { CheckReport(device.name, $0) }
    }
    if json { try printJSON(reports) }
    let failures = reports.filter { $0.verdict == DeviceInventory.Verdict.failed.rawValue }.count
    if !json { Terminal.write("\(reports.count - failures) passed, \(failures) failed\n") }
    if failures > 0 { throw ExitCode.failure }
  }
}

private struct DeviceReport: Encodable {
  var device: String
  var hardware: String
  var driver: String
  var tuning: Tuning?

  /// What is known to be fastest on it.
  struct Tuning: Encodable {
    var choices: Int
    var operations: Int
    var outdated: Int
    var source: String
    var made: String
  }

  init(_ device: DeviceDescription, _ state: DeviceTuning.State?) {
    self.device = device.name
    hardware = device.hardware
    driver = device.driver
    tuning = state.map {
      Tuning(
        choices: $0.choices, operations: $0.operations, outdated: $0.outdated, source: $0.source,
        made: $0.made)
    }
  }
}

/// A row of `apus devices --roofline`.
private struct LimitsReport: Encodable {
  var device: String
  var threads: Int
  var read_bytes_per_second: Double
  var f32_per_second: Double
  var int8_per_second: Double

  init(_ device: String, _ limits: DeviceInventory.Limits) {
    self.device = device
    threads = limits.units
    read_bytes_per_second = limits.bandwidth
    f32_per_second = limits.floatRate
    int8_per_second = limits.integerRate
  }
}

private struct CheckReport: Encodable {
  var device: String
  var operation: String
  var type: String
  var cases: Int
  var verdict: String
  var worst_error: Double
  var remark: String?

  init(_ device: String, _ row: DeviceInventory.CheckRow) {
    self.device = device
    operation = row.operation
    type = row.type
    cases = row.cases
    verdict = row.verdict.rawValue
    worst_error = row.worstError
    remark = row.remark
  }
}
