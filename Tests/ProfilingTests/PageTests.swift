import Foundation
import Profiling
import TestSupport
import Testing

/// The page in a browser as people have it.
@Suite(.serialized) struct PageTests {
  private static let browser = ["chromium", "chromium-browser", "google-chrome"].lazy
    .flatMap { name in (environment("PATH") ?? "").split(separator: ":").map { "\($0)/\(name)" } }
    .first { FileManager.default.isExecutableFile(atPath: $0) }
  private static let isWanted = browser != nil || environment("APUS_REQUIRE_BROWSER") != nil
  private static let absence: Comment = "no chromium on PATH: 'tools/setup --test' installs it"

  @Test func thePageNeedsNothingElse() {
    let page = Page(SampleProfile.profile).text
    for word in ["http:", "https:", "src=", "url(", "<script", "@import", "<link"] {
      #expect(!page.contains(word), "\(word)")
    }
    #expect(page.contains("<h1>a model &lt;of&gt; &quot;tests&quot; &amp; such</h1>"))
    #expect(page.contains("<circle") && !page.contains("nan") && !page.contains("inf"))
  }

  @Test func aDeviceThatWasNotMeasuredHasNoPlot() {
    var profile = SampleProfile.profile
    profile.devices[0].roofline = nil
    let page = Page(profile).text
    #expect(page.contains("apus devices --roofline") && !page.contains("<circle"))
    #expect(page.contains("layers-decode") && page.contains("id=\"decode-op\""))
  }

  @Test(.enabled(if: isWanted, absence))
  func aBrowserShowsPlotTimelinesAndTables() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("apus-page-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let page = folder.appendingPathComponent("page.html")
    try Data(Page(SampleProfile.profile).text.utf8).write(to: page)

    // What the browser made of the text, with what it does not show left away by its own layout.
    let dom = try browse(["--dump-dom", page.absoluteString], folder)
    for id in ["roofline-0", "layers-prefill", "layers-decode"] {
      let drawn = try #require(element("svg", id, in: dom), "no drawing \(id)")
      #expect(drawn.contains(id.hasPrefix("layers") ? "<rect" : "<circle"))
    }
    for phase in ["prefill", "decode"] {
      for grouping in ["op", "kernel", "layer"] {
        let table = try #require(element("table", "\(phase)-\(grouping)", in: dom))
        #expect(table.components(separatedBy: "<tr").count > 4)
      }
    }

    // The pixels: the browser itself decodes its picture and counts.
    let picture = folder.appendingPathComponent("page.png")
    _ = try browse(
      ["--screenshot=\(picture.path)", "--window-size=1100,2000", page.absoluteString], folder)
    let counter = folder.appendingPathComponent("count.html")
    let image = try Data(contentsOf: picture).base64EncodedString()
    try Data(Self.counting(image).utf8).write(to: counter)
    let counted = try browse(
      ["--dump-dom", counter.absoluteString], folder)
    let words = counted.components(separatedBy: "counted ").last?.split(separator: " ") ?? []
    let numbers = words.prefix(4).compactMap { Int($0) }
    try #require(numbers.count == 4, "\(counted.suffix(300))")
    #expect(numbers[0] == 1100 && numbers[1] >= 1900)
    #expect(numbers[2] > 30, "colours")
    #expect(numbers[3] > 20, "pixels in a thousand that are not white")
  }

  /// From the opening of an element with this id to its end.
  private func element(_ tag: String, _ id: String, in dom: String) -> Substring? {
    guard let start = dom.range(of: "<\(tag) id=\"\(id)\""),
      let end = dom.range(of: "</\(tag)>", range: start.upperBound..<dom.endIndex)
    else { return nil }
    return dom[start.lowerBound..<end.upperBound]
  }

  /// Runs the browser without a window and returns what it prints.
  private func browse(_ arguments: [String], _ folder: URL) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Self.browser, Self.absence))
    process.arguments =
      [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--user-data-dir=\(folder.path)/profile",
      ] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// A page that writes width, height, colours and the share of pixels that are not white.
  private static func counting(_ image: String) -> String {
    """
    <body><img id="i" src="data:image/png;base64,\(image)"><script>
    window.addEventListener("load", () => {
      const image = document.getElementById("i");
      const canvas = document.createElement("canvas");
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const bytes = context.getImageData(0, 0, canvas.width, canvas.height).data;
      const colours = new Set();
      let marks = 0;
      for (let i = 0; i < bytes.length; i += 4) {
        const colour = bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2];
        colours.add(colour);
        if (colour !== 0xffffff) marks++;
      }
      const share = Math.round(marks * 4000 / bytes.length);
      document.body.textContent =
        "counted " + [canvas.width, canvas.height, colours.size, share].join(" ") + " ";
    });
    </script></body>
    """
  }
}
