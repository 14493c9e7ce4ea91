package io.microsnap.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.StringReader;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

final class HtmlReportTest {
    private static final Pattern CHART = Pattern.compile("<svg .*?</svg>", Pattern.DOTALL);
    /** Letters of 11 and of 14 pixels are about so wide. */
    private static final double LETTER = 5.6;
    private static final double TITLE_LETTER = 7.4;

    private final String page = new HtmlReport(RunsForTests.charted(), List.of("a row: slower by 30 %")).page();

    @Test
    void thePageStandsByItself() {
        assertThat(page).startsWith("<!DOCTYPE html>").doesNotContain("<script", "src=", "@import", "url(", "<link");
        assertThat(page.replace("http://www.w3.org/2000/svg", "")).doesNotContain("http");
        assertThat(page).contains("prefers-color-scheme: dark", "@media print", "width=device-width");
    }

    @Test
    void itTellsMachineCountsChangesAndWhatWasLeftOut() {
        assertThat(page).contains("2 × a processor", "ext4 on /dev/vda", "a row: slower by 30 %",
                "there is no &lt;registry&gt; here", "they differ", "first in a JVM: ", "major faults 12 (peer 13)");
    }

    @Test
    void everyChartHasATitleAxesAndALegendAndNoTwoTextsOverlap() throws Exception {
        List<Document> charts = charts();
        // Cold and warm restores, captures, page cache, and the pairs of each family that has any.
        assertThat(charts).hasSize(4 + 3);
        for (Document chart : charts) {
            List<Text> texts = texts(chart);
            String title = chart.getDocumentElement().getAttribute("aria-label");
            assertThat(texts).filteredOn(text -> text.style.equals("title")).singleElement()
                    .matches(text -> text.words.equals(title));
            assertThat(texts).anyMatch(text -> text.words.contains("→"))
                    .anyMatch(text -> text.words.contains("median"));
            String[] view = chart.getDocumentElement().getAttribute("viewBox").split(" ", -1);
            for (int one = 0; one < texts.size(); one++) {
                assertThat(texts.get(one)).matches(text -> text.left >= 0
                        && text.right <= Double.parseDouble(view[2]) && text.y <= Double.parseDouble(view[3]));
                for (int other = one + 1; other < texts.size(); other++) {
                    assertThat(texts.get(one).overlaps(texts.get(other)))
                            .as("%s and %s in %s", texts.get(one), texts.get(other), title).isFalse();
                }
            }
        }
    }

    @Test
    void aRunOfOneRowStillHasWhatItCan() {
        String small = new HtmlReport(RunsForTests.run(RunsForTests.row("lonely", 1000)), List.of()).page();
        assertThat(small).contains("lonely", "Every pair of runs");
    }

    @Test
    void chartsStandByThemselvesInBothSchemes() throws Exception {
        String image = new Charts(RunsForTests.charted()).lines().get("restore-cold").standalone();
        parse(image);
        assertThat(image).contains("<style>", "prefers-color-scheme: dark", "working-set", "C, mapped");
    }

    private List<Document> charts() throws Exception {
        List<Document> charts = new ArrayList<>();
        Matcher found = CHART.matcher(page);
        while (found.find()) {
            charts.add(parse(found.group()));
        }
        return charts;
    }

    private static Document parse(String xml) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(xml)));
    }

    private record Text(String style, String words, double left, double right, double y) {
        boolean overlaps(Text other) {
            return Math.abs(y - other.y) < 9 && left < other.right && other.left < right;
        }
    }

    private static List<Text> texts(Document chart) {
        List<Text> texts = new ArrayList<>();
        NodeList found = chart.getElementsByTagName("text");
        for (int number = 0; number < found.getLength(); number++) {
            Element text = (Element) found.item(number);
            String style = text.getAttribute("class");
            String words = text.getTextContent();
            double width = words.length() * (style.equals("title") ? TITLE_LETTER : LETTER);
            double x = Double.parseDouble(text.getAttribute("x"));
            double left = switch (text.getAttribute("text-anchor")) {
                case "middle" -> x - width / 2;
                case "end" -> x - width;
                default -> x;
            };
            texts.add(new Text(style, words, left, left + width, Double.parseDouble(text.getAttribute("y"))));
        }
        return texts;
    }
}
