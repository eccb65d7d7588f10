class Openelm < Formula
  desc "Run Apple's OpenELM language models on the GPU of a Mac or on a CPU"
  homepage "https://github.com/go-openelm/go-openelm"
  license "MIT"

  head do
    url "https://github.com/go-openelm/go-openelm.git", branch: "main"
    depends_on "go" => :build
  end

  # The archives of a release, which make dist writes:
  # End of the archives.

  def install
    if build.head?
      ENV["CGO_ENABLED"] = "0"
      stamp = "-s -w -X github.com/go-openelm/go-openelm/internal/version.version=#{version}"
      system "go", "build", *std_go_args(ldflags: stamp), "./cmd/openelm"
      cd "examples/menubar" do
        system "go", "build", *std_go_args(ldflags: stamp, output: bin/"openelm-menubar"), "."
      end
    else
      bin.install "openelm", "openelm-menubar"
    end
    generate_completions_from_executable(bin/"openelm", "completion")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/openelm --version")
    assert_match version.to_s, shell_output("#{bin}/openelm-menubar --version")
    assert_match "Once upon a time", shell_output("#{bin}/openelm generate -q -n 3 'Once upon a time'")
  end
end
