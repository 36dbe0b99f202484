import ArgumentParser

/// `apus`: one subcommand a file.
@main
struct ApusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "Runs large language models on any OpenCL device, and on the CPU.",
    discussion: """
      Models are GGUF files. Without a model, commands use SmolLM2-135M-Instruct from the cache; \
      'tools/fetch smollm2' puts it there.

      Exit codes: 0 success, 1 failure, 64 wrong usage.
      """,
    version: "0.1.0",
    subcommands: [
      RunCommand.self, ChatCommand.self, DevicesCommand.self, InspectCommand.self,
      TokenizeCommand.self, PerplexityCommand.self, PlanCommand.self, BenchCommand.self,
      CacheCommand.self,
    ])
}
