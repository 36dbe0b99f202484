import Apus
import ArgumentParser

/// `apus cache`: what is kept on disk to start faster.
struct CacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cache", abstract: "List or clear what is kept on disk to start faster.",
    discussion: """
      Programs that OpenCL drivers have built, verdicts of self-tests, and what devices reach at best \
      ('apus devices --roofline') lie in the folder \
      'programs' of $APUS_CACHE, else of $XDG_CACHE_HOME/apus, else of ~/.cache/apus. At most \
      256 MiB are kept; what was not used for longest goes first. All of it can be made again, so \
      clearing it only makes the next start slower. Models are not touched.

      Examples:
        apus cache list
        apus cache list --json
        apus cache clear
      """, subcommands: [List.self, Clear.self], defaultSubcommand: List.self)

  /// `apus cache list`.
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show where it lies, what is in it, and how much that is.")

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let listing = CacheInventory.list()
      if json { return try printJSON(CacheReport(listing)) }
      if let reason = listing.reason { Terminal.note("apus: not in use: \(reason)") }
      guard let path = listing.path else { return }
      if !listing.entries.isEmpty {
        Terminal.write(
          table(
            ["program", "device", "driver", "size", "last used"],
            listing.entries.map {
              [
                $0.name ?? "damaged", $0.device, $0.driver, "\(ByteCount($0.bytes))",
                words($0.age),
              ]
            }) + "\n")
      }
      let total = listing.entries.reduce(0) { $0 + $1.bytes }
      Terminal.write(
        "\(path): \(listing.entries.count) entries, \(ByteCount(total))\n")
    }

    /// An age in its largest unit.
    private func words(_ age: Duration) -> String {
      let seconds = age.components.seconds
      for (unit, length) in [("day", 86_400), ("hour", 3_600), ("minute", 60)] as [(String, Int64)]
      where seconds >= length {
        let count = seconds / length
        return "\(count) \(unit)\(count == 1 ? "" : "s") ago"
      }
      return "now"
    }
  }

  /// `apus cache clear`.
  struct Clear: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove all of it; the next start builds it again.")

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
      let count = try CacheInventory.clear()
      if json { return try printJSON(["removed": count]) }
      Terminal.write("removed \(count) entries\n")
    }
  }
}

/// What `apus cache list --json` prints.
private struct CacheReport: Encodable {
  struct Entry: Encodable {
    var program: String?
    var device: String
    var driver: String
    var bytes: Int
    var age_seconds: Int64
  }

  var path: String?
  var unusable: String?
  var bytes: Int
  var entries: [Entry]

  init(_ listing: CacheInventory.Listing) {
    path = listing.path
    unusable = listing.reason
    bytes = listing.entries.reduce(0) { $0 + $1.bytes }
    entries = listing.entries.map {
      Entry(
        program: $0.name, device: $0.device, driver: $0.driver, bytes: $0.bytes,
        age_seconds: $0.age.components.seconds)
    }
  }
}
