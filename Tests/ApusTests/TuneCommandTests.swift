import Apus
import Devices
import OpenCLBackend
import TestSupport
import Testing

private let listing = OpenCLDevices.list()
private let absence: Comment = "no OpenCL device: \(listing.reason ?? "")"

/// `apus tune` on a real driver, from a search to a model that runs with what was found.
@Suite(.serialized) struct TuneCommandTests {
  private let commands = CommandTests()
  private let folder = TemporaryFolder()
  private var environment: [String] {
    ["APUS_CACHE=\(folder.path)/cache", "XDG_CONFIG_HOME=\(folder.path)/config"]
  }

  /// The name of the only tuned file.
  private func tuned() throws -> String {
    let files = folder.files("config/apus/tuned")
    try #require(files.count == 1)
    return "config/apus/tuned/\(files[0])"
  }

  private func text() throws -> String {
    String(decoding: try Fixtures.bytes("\(folder.path)/\(try tuned())"), as: UTF8.self)
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func searchesAndKeeps() throws {
    let arguments = ["tune", "--device", "opencl:0", "--ops", "Q4_0 × int8"]
    let dry = try commands.run(
      arguments + ["--budget", "1s", "--dry-run"], environment: environment)
    #expect(dry.status == 0 && dry.output.contains("nothing was kept"), "\(dry.notes)")
    #expect(folder.files("config/apus").isEmpty)

    let answer = try commands.run(arguments + ["--budget", "60s"], environment: environment)
    #expect(answer.status == 0 && answer.output.contains("kept in \(folder.path)"))
    let file = try TuningFile(try text())
    #expect(file.hardware == listing.devices[0].name)
    #expect(file.entries.map(\.choice.operation) == ["linear Q4_0 × int8", "linear Q4_0 × int8"])
    #expect(try file.tuning().outdated == 0)

    let devices = try commands.run(["devices"], environment: environment)
    #expect(devices.output.contains("of 2 operations (\(file.made))"))
    let gone = try commands.run(
      ["tune", "--forget", "--device", "opencl:0"], environment: environment)
    #expect(gone.output == "removed 1 tuned files\n")
    #expect(folder.files("config/apus/tuned").isEmpty)
  }

  /// A model's placement names what was tuned, its device is tested anew, and its text stays the same.
  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func modelsTakeWhatWasFound() throws {
    let model = TinyModel().write()
    let run = [
      "run", model.path, "-p", "HELLO", "-n", "4", "--temperature", "0", "--raw", "--device",
      "opencl:0",
    ]
    let plain = try commands.run(run, environment: environment)
    #expect(plain.status == 0, "\(plain.notes)")
    let before = try commands.run(["cache", "list"], environment: environment).output
    let device = try OpenCLDevice(index: 0)
    let many = try #require(
      KernelTable.rows.first { row in
        row.program == "gemm/linear_int8" && row.tunables.contains { $0.name == "TOKENS" }
          && KernelTable.row(
            of: Tuning.Choice(
              operation: "linear Q8_0 × int8", rows: .many, variant: row.variant)) != nil
          && device.support(row, "linear Q8_0 × int8")
      })
    let choice = Tuning.Choice(
      operation: "linear Q8_0 × int8", rows: .many, variant: many.variant,
      settings: [Tuning.Setting("TOKENS", 2)])
    let store = TuningStore(folder: "\(folder.path)/config/apus/tuned", shipped: [])
    _ = try store.write(
      TuningFile(
        hardware: device.traits.hardware, driver: device.traits.driver, made: "by a test",
        entries: [
          TuningFile.Entry(
            choice, isStandard: false, fingerprint: KernelTable.fingerprint(many), gain: 2)
        ]), for: .init(device))
    let after = try commands.run(run + ["--placement"], environment: environment)
    #expect(after.output.contains("tuned TOKENS=2"), "\(after.output)")
    let without = try commands.run(
      run + ["--placement", "--no-tuning"], environment: environment)
    #expect(!without.output.contains("tuned"))
    let tuned = try commands.run(run, environment: environment)
    #expect(tuned.output == plain.output && !tuned.notes.contains("tuned"))
    // What was tested with other kernels says nothing of these.
    let verdicts = try commands.run(["cache", "list"], environment: environment).output
    func count(_ text: String) -> Int { text.ranges(of: "self-test of").count }
    #expect(count(before) == 1 && count(verdicts) == 2, "\(verdicts)")

    try folder.write(try self.tuned(), "apus tuning 1\nrubbish\n")
    let damaged = try commands.run(run, environment: environment)
    #expect(damaged.status == 0 && damaged.output == plain.output)
    #expect(damaged.notes.contains("line 2: 'rubbish' is not understood"))
    #expect(damaged.notes.contains("'apus tune' makes it anew"))
  }

  @Test func wrongUsage() throws {
    for words in [
      ["--budget", "soon"], ["--budget", "0s"], ["--budget", "99h"], ["--device", "auto"],
      ["--forget", "--dry-run"], ["-t", "0"],
    ] {
      #expect(try commands.run(["tune"] + words).status == 64, "\(words)")
    }
    let cpu = try commands.run(["tune", "--device", "cpu"])
    #expect(cpu.status == 1 && cpu.notes.contains("cpu has nothing to choose"))
    let help = try commands.run(["tune", "--help"])
    #expect(help.status == 0 && help.output.contains("--budget"))
  }

  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func unknownNamesAreErrors() throws {
    let device = try commands.run(["tune", "--device", "opencl:99"])
    #expect(device.status == 1 && device.notes.contains("no such device"))
    let ops = try commands.run(["tune", "--device", "opencl:0", "--ops", "dance"])
    #expect(ops.status == 1 && ops.notes.contains("no operation contains 'dance'"))
  }
}

extension OpenCLDevice {
  /// Whether a row may be among those that the device takes.
  fileprivate func support(_ row: KernelRow, _ operation: String) -> Bool {
    use(
      Tuning([
        Tuning.Choice(
          operation: operation, rows: .many, variant: row.variant,
          settings: [Tuning.Setting("TOKENS", 2)])
      ]))
    defer { use(Tuning()) }
    return isTuned
  }
}
