#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where a user's files lie, by the XDG Base Directory Specification.
package struct UserFolders: Sendable {
  /// `$APUS_CACHE`, else `apus` in the user's cache folder; nil without a home.
  package let cache: String?
  /// `apus` in the user's configuration folder; nil without a home.
  package let configuration: String?

  /// Those of this process.
  package init() {
    self.init { name in getenv(name).map { String(cString: $0) } }
  }

  /// Those of an environment.
  package init(_ environment: (String) -> String?) {
    func variable(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
    func folder(_ name: String, or fallback: String) -> String? {
      // The specification has relative paths ignored.
      if let folder = variable(name), folder.hasPrefix("/") { return "\(folder)/apus" }
      return variable("HOME").map { "\($0)/\(fallback)/apus" }
    }
    cache = variable("APUS_CACHE") ?? folder("XDG_CACHE_HOME", or: ".cache")
    configuration = folder("XDG_CONFIG_HOME", or: ".config")
  }
}
