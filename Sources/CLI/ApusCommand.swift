import Apus
import ArgumentParser

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

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
      TokenizeCommand.self, PerplexityCommand.self, EvalCommand.self, ExplainCommand.self,
      PlanCommand.self, BenchCommand.self, ProfileCommand.self, TuneCommand.self, CacheCommand.self,
    ])

  /// What the package's own entry point does, but every word goes through ``Terminal``: names out of
  /// a file are in errors too, and help that could not be written is a failure.
  static func main() async {
    Interrupt.ignoreClosedPipes()
    do {
      var command = try await asyncParseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      // Help and the version arrive here too.
      let (message, code) = (fullMessage(for: error), exitCode(for: error))
      if code == .success {
        Terminal.write(message + "\n")
      } else {
        if !message.isEmpty { Terminal.note(message) }
        end(code)
      }
    }
    do throws(ApusError) { try Terminal.finish() } catch {
      Terminal.note("Error: \(error)")
      end(.failure)
    }
  }
}

private func end(_ code: ExitCode) -> Never { exit(code.rawValue) }
