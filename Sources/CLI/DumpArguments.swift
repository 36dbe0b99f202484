import Apus
import ArgumentParser

/// Writing the kernels of a run into files: options of `run` and `profile`.
struct DumpArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Write the source, options and build log of kernels into files.",
      discussion: """
        Of every program that the run built and whose path or entry has NAME in it. The source begins \
        with its defines and stands alone.
        """,
      valueName: "name"))
  var dumpKernel: String?

  @Option(help: ArgumentHelp("The folder for --dump-kernel.", valueName: "folder"))
  var dumpFolder = "."

  /// Writes what was asked for, if anything was.
  func write(_ model: LanguageModel) async throws(ApusError) {
    guard let dumpKernel else { return }
    var counts: [String: Int] = [:]
    for program in try await model.programs(matching: dumpKernel) {
      let stem = "\(program.device):\(program.name)".map { $0 == "/" || $0 == ":" ? "-" : $0 }
      let number = counts[program.name, default: 0]
      counts[program.name] = number + 1
      let path = "\(dumpFolder)/\(String(stem))-\(number)"
      try Output.replace("\(path).cl", with: Array(program.source.utf8), mode: 0o644)
      let about =
        "kernel \(program.entry) of \(program.name) for \(program.device)\n"
        + "options: \(program.options)\nbuild: \(program.log)"
      try Output.replace("\(path).txt", with: Array(about.utf8), mode: 0o644)
      Terminal.note("apus: wrote \(path).cl and \(path).txt")
    }
  }
}
