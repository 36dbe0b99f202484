import Apus
import ArgumentParser

/// `apus plan`: what a model would take.
struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Show what memory a model needs, without loading it.",
    discussion: """
      For each device: weights in its buffers, weights that are read where the file is mapped, keys \
      and values of the whole context, scratch for one step, staging (what loading takes on the host \
      beside the weights), and the most at any time while it is loaded. What does not fit into \
      memory, or into --mem-limit, is said with what would.

      What a driver takes for itself is measured when its device is opened, and stands apart.

      Examples:
        apus plan model.gguf -c 8192
        apus plan model.gguf --device opencl:0 --mem-limit 800MB --json
        apus plan model.gguf --device cpu --check
      """)

  @OptionGroup var source: ModelArgument

  @OptionGroup var context: ContextArgument

  @Flag(
    help: """
      Load the model on each device, run a step, and compare with what was allocated; more than 5% \
      apart makes the exit code 1.
      """)
  var check = false

  @OptionGroup var output: OutputArguments

  @OptionGroup var speculation: SpeculationArguments

  @OptionGroup var load: LoadArguments

  func run() async throws {
    let path = try source.path
    var options = load.options
    options.contextLength = context.context
    try speculation.set(&options)
    let plan = try MemoryPlan(path: path, options: options)
    let checks = check ? try await checks(of: plan, path, options) : []
    if output.json {
      try printJSON(PlanReport(plan, checks))
    } else {
      write(plan)
      if check { write(checks) }
    }
    // A choice without room was not checked, which is no success.
    guard checks.allSatisfy(\.isClose), !check || checks.count == plan.choices.count else {
      throw ExitCode.failure
    }
  }

  /// Loads the model on the first device of each choice that fits.
  private func checks(
    of plan: MemoryPlan, _ path: String, _ options: LoadOptions
  ) async throws(ApusError) -> [CheckReport] {
    var reports: [CheckReport] = []
    for choice in plan.choices where choice.shortage == nil {
      let first = choice.devices[0]
      guard let device = DeviceChoice(first.device) else { continue }
      var options = options
      options.device = device
      let check = try await MemoryPlan.check(path: path, options: options)
      reports.append(CheckReport(first.device, choice, check))
    }
    return reports
  }

  private func write(_ plan: MemoryPlan) {
    Terminal.write(
      "\(plan.name.inOneLine): \(plan.parameterCount) parameters, \(ByteCount(plan.weightBytes)) in the file\n"
        + (plan.draft.map { "with \($0.inOneLine) for a draft, counted in what follows\n" } ?? "")
        + "-c \(plan.contextLength) -b \(plan.batch), "
        + "\(ByteCount(plan.cacheBytesPerToken)) of cache for each token, --load \(load.load)\n\n")
    let rows = plan.choices.flatMap { choice in
      choice.devices.enumerated().map { index, need in
        [
          // Devices that help another out stand below it.
          index == 0 ? need.device : "+ \(need.device)"
        ]
          + [need.weights, need.mapped, need.cache, need.scratch, need.staging, need.loadPeak].map {
            "\(ByteCount($0))"
          } + [index > 0 ? "" : choice.shortage == nil ? "yes" : "no"]
      }
    }
    Terminal.write(
      table(
        ["device", "weights", "mapped", "cache", "scratch", "staging", "load peak", "fits"], rows))
    if let host = plan.hostMemory { Terminal.write("\nthis machine has \(ByteCount(host)) left\n") }
    let opening =
      [plan.drivers.map { "\(ByteCount(max(0, $0))) (OpenCL's drivers)" }]
      + plan.choices.map { choice in
        choice.opening.map { "\(ByteCount(max(0, $0))) (\(choice.devices[0].device))" }
      }
    let parts = opening.compactMap { $0 }
    if !parts.isEmpty {
      Terminal.write("apart from this, opening took \(parts.joined(separator: ", "))\n")
    }
    for choice in plan.choices {
      if let shortage = choice.shortage { Terminal.write("\(shortage)\n") }
      if let remark = choice.remark { Terminal.write("\(choice.devices[0].device): \(remark)\n") }
    }
    for problem in plan.problems { Terminal.note("apus: \(problem)") }
  }

  private func write(_ checks: [CheckReport]) {
    func words(_ bytes: Int?) -> String { bytes.map { "\(ByteCount(max(0, $0)))" } ?? "unknown" }
    let rows = checks.map { check in
      [
        check.device, "\(check.planned)", "\(check.allocated)", "\(check.ratio)",
        words(check.process_driver), words(check.process_own), words(check.process_file),
      ]
    }
    Terminal.write(
      "\n"
        + table(
          [
            "device", "planned", "allocated", "ratio", "process: driver", "model",
            "mapped files",
          ], rows))
  }
}

/// A plan held against what loading allocated.
private struct CheckReport: Encodable {
  var device: String
  var planned: Int
  var allocated: Int
  var ratio: Double
  var process_driver: Int?
  var process_own: Int?
  var process_file: Int?

  init(_ device: String, _ choice: MemoryPlan.Choice, _ check: MemoryCheck) {
    self.device = device
    planned = choice.allocated
    allocated = check.usage.allocated
    ratio = Double(planned) / Double(max(1, allocated))
    process_driver = check.driver
    process_own = check.own
    process_file = check.file
  }

  var isClose: Bool { abs(ratio - 1) <= 0.05 }
}

/// What `apus plan --json` prints; sizes are bytes.
private struct PlanReport: Encodable {
  struct Device: Encodable {
    var device: String
    var weights: Int
    var mapped: Int
    var cache: Int
    var scratch: Int
    var staging: Int
    var load_peak: Int
  }
  struct Choice: Encodable {
    var devices: [Device]
    var read_back: Int
    var peak: Int
    var fits: Bool
    var shortage: String?
    var remark: String?
    var opening: Int?
  }

  var model: String
  var draft: String?
  var parameters: Int
  var weight_bytes: Int
  var context: Int
  var batch: Int
  var cache_bytes_per_token: Int
  var host_memory: Int?
  var drivers: Int?
  var choices: [Choice]
  var problems: [String]
  var checks: [CheckReport]?

  init(_ plan: MemoryPlan, _ checks: [CheckReport]) {
    model = plan.name
    draft = plan.draft
    parameters = plan.parameterCount
    weight_bytes = plan.weightBytes
    context = plan.contextLength
    batch = plan.batch
    cache_bytes_per_token = plan.cacheBytesPerToken
    host_memory = plan.hostMemory
    drivers = plan.drivers
    problems = plan.problems
    choices = plan.choices.map { choice in
      Choice(
        devices: choice.devices.map {
          Device(
            device: $0.device, weights: $0.weights, mapped: $0.mapped, cache: $0.cache,
            scratch: $0.scratch, staging: $0.staging, load_peak: $0.loadPeak)
        }, read_back: choice.readBack, peak: choice.peak, fits: choice.shortage == nil,
        shortage: choice.shortage, remark: choice.remark, opening: choice.opening)
    }
    self.checks = checks.isEmpty ? nil : checks
  }
}
